"""What quantization to int8 costs the presets: the measures of their cards.

    KERAS_BACKEND=jax python benchmarks/int8.py digits_dit
    KERAS_BACKEND=jax python benchmarks/int8.py cifar10_mlp
    KERAS_BACKEND=jax python benchmarks/int8.py cifar10_mlp --data FOLDER

The measures are those of the examples that trained the presets, by classifiers
trained here, the same for both networks: they differ from the numbers of the
cards where `--classifier-epochs` does. Without `--data`, `mnist_mlp` and
`cifar10_mlp` are not judged. Prints one line of JSON for each measure, the root
mean square change of samples, and the sizes of both ONNX files (on JAX and
TensorFlow, which write quantized ones).

Needs the extras `examples` and `export-jax` or `export-tensorflow`.
"""

import argparse
import importlib
import json
import pathlib
import sys
import tempfile

import keras
import numpy as np

import keras_drift as kd

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"
# The guidance scale that the card of `cifar10_mlp` gives its distance for.
GUIDANCE = 2.5


def digits(args):
    """The measures of `examples/digits.py`."""
    example = importlib.import_module("digits")
    sets = kd.datasets.digits("train"), kd.datasets.digits("test")
    return lambda model: example.measure(model, *sets)


def mnist(args):
    """Those of a classifier of real digits, as in `examples/train_mnist.py`."""
    example = importlib.import_module("train_mnist")
    (images, labels), test_set = example.load(args.data)
    judge = example.train_classifier(
        example.classifier((32, 64, 128), 128, args.dtype),
        images,
        labels,
        args.classifier_epochs,
        example.shifted_digits,
        1,
    )
    return judged_by(judge, test_set[0], 10_000, 1.0)


def cifar10(args):
    """Those of the judge of `examples/train_cifar10.py`."""
    example = importlib.import_module("train_cifar10")
    train_set, test_set = example.load(args.data)
    with tempfile.TemporaryDirectory() as folder:
        judge = example.trained(
            example.judge_classifier,
            args.dtype,
            *train_set,
            args.classifier_epochs,
            pathlib.Path(folder) / "judge.weights.h5",
            1,
        )
    return judged_by(judge, test_set[0], 3000, GUIDANCE)


def judged_by(judge, test_images, count, guidance):
    """Accuracy, and Fréchet distance to real images, by one classifier."""
    images_of_small = importlib.import_module("small_images")
    feature = images_of_small.vectors(judge)
    references = feature.predict(test_images, 500, 0)
    labels = np.arange(count) % 10

    def measure(model):
        images = model.generate(
            labels=labels, guidance=guidance, seed=1, batch_size=500
        )
        images = np.clip(images, -1.0, 1.0)
        return {
            "accuracy": images_of_small.accuracy(judge, images, labels),
            "frechet_distance": images_of_small.frechet(
                feature, images, references
            ),
        }

    return measure


MEASURES = {"digits_dit": digits, "mnist_mlp": mnist, "cifar10_mlp": cifar10}


def size_of_onnx(model):
    """Bytes of the exported file."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.onnx"
        model.export(path, verbose=False)
        return path.stat().st_size


def report(name, exact, small):
    """Prints a measure of both networks."""
    row = {"measure": name, "float32": exact, "int8": small}
    print(json.dumps(row | {"ratio": small / exact}))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("preset", choices=MEASURES)
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--classifier-epochs", type=int, default=4)
    parser.add_argument("--dtype", default="float32")
    args = parser.parse_args()
    sys.path.insert(0, str(EXAMPLES))
    keras.utils.set_random_seed(0)
    measure = None
    if args.data or args.preset == "digits_dit":
        measure = MEASURES[args.preset](args)

    exact = kd.DriftModel.from_preset(args.preset)
    small = kd.DriftModel.from_preset(args.preset)
    small.generator.quantize("int8")
    if measure is not None:
        found, found_small = measure(exact), measure(small)
        for name, value in found.items():
            report(name, value, found_small[name])
    change = exact.generate(1000, seed=0) - small.generate(1000, seed=0)
    print(json.dumps({"rms_change": float(np.sqrt(np.mean(change**2)))}))
    if keras.backend.backend() != "torch":
        sizes = size_of_onnx(exact), size_of_onnx(small)
        report("bytes of the ONNX file", *sizes)


if __name__ == "__main__":
    main()
