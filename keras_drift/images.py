"""Image grids, PNG and GIF files."""

import functools
import pathlib

import numpy as np

from keras_drift import extras
from keras_drift.atomic_files import write_atomically


def image_grid(images, columns, scale=1):
    """Arranges images in a grid, separated by white lines.

    Args:
        images: float array `(n, height, width, channels)` in `[-1, 1]`, of one
            or three channels. Values outside are clipped.
        columns: int >= 1, images in a row.
        scale: int >= 1, the side of a pixel in the picture. Defaults to `1`.

    Returns:
        uint8 array `(height, width, 3)`.

    Example:

    >>> from keras_drift import images
    >>> images.image_grid(np.zeros((6, 8, 8, 1)), columns=3).shape
    (19, 28, 3)
    """
    images = np.asarray(images, "float32")
    count, height, width, _ = images.shape
    rows = -(-count // columns)
    pixels = np.clip((images + 1) * 127.5, 0, 255).round().astype("uint8")
    pixels = np.broadcast_to(pixels, (count, height, width, 3))
    pixels = pixels.repeat(scale, axis=1).repeat(scale, axis=2)
    height, width = height * scale, width * scale
    grid = np.full(
        (rows * (height + 1) + 1, columns * (width + 1) + 1, 3), 255, "uint8"
    )
    for i, image in enumerate(pixels):
        row, column = divmod(i, columns)
        top, left = 1 + row * (height + 1), 1 + column * (width + 1)
        grid[top : top + height, left : left + width] = image
    return grid


def sample_grid(
    model, rows=8, columns=None, guidance=1.0, seed=0, scale=None, labels=None
):
    """Generates samples and arranges them in a grid.

    Args:
        model: `DriftModel`.
        rows: int >= 1. Defaults to `8`.
        columns: int >= 1. With classes, each column shows one. Defaults to
            `None`: one for each class, at most 16, or as many as there are
            rows.
        guidance: float, the guidance scale. Defaults to `1.0`.
        seed: int, of the noise. Defaults to `0`.
        scale: int >= 1, magnification of each image. Defaults to `None`: such
            that an image is about 64 pixels wide.
        labels: ints, the class of each column. Defaults to `None`: the classes
            in order, cyclically.

    Returns:
        uint8 array `(height, width, 3)`.

    Raises:
        ValueError: if the samples are not images of one or three channels.
    """
    check_shown(model)
    classes = model.generator.num_classes
    if labels is not None:
        columns = len(labels)
    elif columns is None:
        columns = rows if classes is None else min(classes, 16)
    if labels is None and classes is not None:
        labels = np.arange(columns) % classes
    if labels is not None:
        labels = np.tile(labels, rows)
    samples = model.generate(rows * columns, labels, guidance, seed=seed)
    scale = scale or max(1, 64 // samples.shape[2])
    return image_grid(samples, columns, scale)


def draws_images(model):
    """Whether the samples of a model are images of one or three channels."""
    shape = model.image_shape
    return len(shape) == 3 and shape[-1] in (1, 3)


def check_shown(model):
    """Refuses models whose samples are not images that can be shown."""
    if not draws_images(model):
        raise ValueError(
            "Only images of one or three channels can be shown; latents "
            "are decoded by the `autoencoder` of the model. "
            f"Received: samples of shape {model.image_shape}"
        )


def write_png(path, picture):
    """Writes a uint8 array `(height, width, 3)` as a PNG file, atomically."""
    _write(path, [picture], format="png")


def write_gif(path, pictures, seconds):
    """Writes an animated GIF that loops, atomically.

    Args:
        path: path of the file.
        pictures: sequence of uint8 arrays `(height, width, 3)`.
        seconds: float > 0, how long it shows each.
    """
    _write(
        path,
        pictures,
        format="gif",
        save_all=True,
        duration=round(1000 * seconds),
        loop=0,
    )


def _write(path, pictures, **options):
    image = extras.load("PIL.Image", "Pictures", "Pillow", "examples")
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *others = map(image.fromarray, pictures)
    if others:
        options["append_images"] = others
    write_atomically(path, functools.partial(first.save, **options))
