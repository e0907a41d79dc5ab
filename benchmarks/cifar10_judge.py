"""What the benchmarks of other methods on CIFAR-10 share."""

import argparse
import pathlib
import sys

import numpy as np

import keras_drift as kd
from keras_drift.images import image_grid
from keras_drift.images import write_png

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "examples"))

import small_images
import train_cifar10

DRAWN = 500  # images at once


def begun(description, peer, folder):
    """Parses the command line, reads the images and makes a folder.

    Args:
        description: str, of the command.
        peer: str, the argument that is the path of the other method.
        folder: str, the name of the folder in `outputs`.

    Returns:
        `(args, train_set, test_set, output)`.
    """
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(peer, type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--cpu-seconds", type=float, default=2447)
    parser.add_argument("--samples", type=int, default=3000)
    parser.add_argument("--classifier-epochs", type=int, default=7)
    args = parser.parse_args()
    output = pathlib.Path("outputs") / folder
    output.mkdir(parents=True, exist_ok=True)
    return args, *train_cifar10.load(args.data), output


def compare(images_of, train_set, test_set, epochs, output):
    """Fréchet distances to real images, of others and of `cifar10_mlp`.

    In the features of the judge of `examples/train_cifar10.py`, which is
    trained here. Grids of all images are written to `output`.

    Args:
        images_of: dict of arrays of images in `[-1, 1]`, by the method's name;
            image `i` is of class `i % 10` where there are classes.
        train_set: tuple of images and labels.
        test_set: tuple of images and labels.
        epochs: int, of the judge's training.
        output: path of a folder.
    """
    judge = train_cifar10.trained(
        train_cifar10.judge_classifier,
        "mixed_bfloat16",
        *train_set,
        epochs,
        output / "judge.weights.h5",
        1,
    )
    feature = small_images.vectors(judge)
    references = feature.predict(test_set[0], 500, 0)
    (count,) = {len(images) for images in images_of.values()}
    ours = kd.DriftModel.from_preset("cifar10_mlp").generate(
        labels=np.arange(count) % 10, guidance=2.5, seed=1, batch_size=DRAWN
    )
    found = {}
    for name, images in {**images_of, "cifar10_mlp": ours}.items():
        write_png(output / f"{name}.png", image_grid(images[:100], columns=20))
        found[name] = small_images.frechet(feature, images, references)
    return found
