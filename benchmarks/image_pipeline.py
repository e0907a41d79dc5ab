"""Decoding, cropping and flipping image files: images per second and core.

    KERAS_BACKEND=jax python benchmarks/image_pipeline.py DIRECTORY

`ImageFolder` beside `keras.utils.image_dataset_from_directory` and the loader
of the official release, which read the same class folders, or a ZIP file of
them. Each gives float32 batches in [-1, 1]. One process, measured alternately
in seconds of processor time, of all its threads, so that work of others counts
little. Needs TensorFlow, PyTorch and Pillow.
"""

import argparse
import json
import os
import pathlib
import tempfile
import time
import warnings
import zipfile

# Keras' pipeline runs on TensorFlow, whatever the backend.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import keras_drift as kd

BATCH_SIZE = 32


def ours(directory, size, **options):
    with warnings.catch_warnings():  # of classes with one image
        warnings.simplefilter("ignore")
        folder = kd.datasets.ImageFolder(
            directory, size, flip=True, batch_size=BATCH_SIZE, **options
        )
    batches = iter(folder)
    # As many as there are, in whole blocks of the stream.
    steps = -(-len(folder) // BATCH_SIZE)
    return lambda: [next(batches)[0] for _ in range(steps)]


def of_keras(directory, size, interpolation, kind="tf"):
    """Keras' loader: it resizes without a filter against aliasing."""
    dataset = keras.utils.image_dataset_from_directory(
        directory,
        image_size=(size, size),
        batch_size=BATCH_SIZE,
        crop_to_aspect_ratio=True,
        interpolation=interpolation,
        format=kind,
        verbose=False,
    )
    if kind == "grain":
        return lambda: [
            np.asarray(flipped_by_numpy(np.asarray(images))) / 127.5 - 1
            for images, _ in dataset
        ]
    import tensorflow as tf

    def flip(images, labels):
        return tf.image.random_flip_left_right(images) / 127.5 - 1, labels

    dataset = dataset.map(flip)
    return lambda: [images.numpy() for images, _ in dataset]


def flipped_by_numpy(images):
    flips = np.random.default_rng().random(len(images)) < 0.5
    return np.where(flips[:, None, None, None], images[:, :, ::-1], images)


def of_the_release(directory, size):
    """`dataset/dataset.py` of the release, without workers.

    The transforms of torchvision are written out, as it does them.
    """
    import torch
    from PIL import Image

    paths = sorted(pathlib.Path(directory).glob("*/*"))

    def center_crop(image):
        while min(*image.size) >= 2 * size:
            halves = tuple(x // 2 for x in image.size)
            image = image.resize(halves, resample=Image.BOX)
        scale = size / min(*image.size)
        resized = tuple(round(x * scale) for x in image.size)
        image = image.resize(resized, resample=Image.BICUBIC)
        pixels = np.array(image)
        y = (pixels.shape[0] - size) // 2
        x = (pixels.shape[1] - size) // 2
        return Image.fromarray(pixels[y : y + size, x : x + size])

    def load(path):
        with open(path, "rb") as file:
            image = center_crop(Image.open(file).convert("RGB"))
        if torch.rand(1) < 0.5:
            image = image.transpose(Image.FLIP_LEFT_RIGHT)
        tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
        tensor = tensor.to(torch.float32).div(255).clone()
        half = torch.full((3, 1, 1), 0.5)
        return tensor.sub_(half).div_(half)

    loader = torch.utils.data.DataLoader(
        paths, BATCH_SIZE, shuffle=True, collate_fn=lambda x: x
    )
    return lambda: [
        np.ascontiguousarray(
            torch.stack([load(path) for path in batch])
            .numpy()
            .transpose(0, 2, 3, 1)
        )
        for batch in loader
    ]


def seconds_per_image(pipelines, rounds):
    """Processor time of each: `{name: array of rounds}`."""
    times = {name: [] for name in pipelines}
    for index in range(rounds + 1):
        for name, epoch in pipelines.items():
            start = time.process_time()
            count = sum(map(len, epoch()))
            elapsed = time.process_time() - start
            if index:  # the first time is warming up
                times[name].append(elapsed / count)
    return {name: np.array(each) for name, each in times.items()}


def ratio(times, others):
    return round(float(np.median(times / others)), 2)


def unpacked(path, folder):
    """The folder of class folders in a directory or a ZIP file."""
    if not zipfile.is_zipfile(path):
        return path
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return next(iter(sorted(pathlib.Path(folder).rglob("*/*/*")))).parents[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=8)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        directory = str(unpacked(args.directory, folder))
        pipelines = {
            "ImageFolder": ours(directory, args.size),
            "ImageFolder, draft": ours(directory, args.size, draft=True),
            "ImageFolder, bilinear": ours(
                directory, args.size, interpolation="bilinear"
            ),
            "release": of_the_release(directory, args.size),
            "Keras, bilinear": of_keras(directory, args.size, "bilinear"),
            "Keras, bicubic": of_keras(directory, args.size, "bicubic"),
            "Keras, bicubic, grain": of_keras(
                directory, args.size, "bicubic", "grain"
            ),
        }
        times = seconds_per_image(pipelines, args.rounds)
    found = {
        name: {
            "images_per_second_and_core": round(float(1 / np.median(each)), 1),
            # Below one: ours is faster.
            "ratio": ratio(times["ImageFolder"], each),
            "bilinear_ratio": ratio(times["ImageFolder, bilinear"], each),
        }
        for name, each in times.items()
    }
    for name, each in found.items():
        print(f"{name:24s}", *each.values())
    print(json.dumps(found))


if __name__ == "__main__":
    main()
