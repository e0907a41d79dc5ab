"""Folders of small images with classes, for tests."""

import numpy as np
from PIL import Image


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, "uint8")).save(path, **options)


def numbered(root, count, size=4):
    """Images of two classes, in files sorted like the number they show."""
    for index in range(count):
        name = "even" if index < count // 2 else "odd"
        save(root / name / f"{index:03d}.png", np.full((size, size, 3), index))
    return root


def numbers(images):
    return np.rint((images[:, 0, 0, 0] + 1) * 127.5).astype(int).tolist()


def batches(folder, count):
    iterator = iter(folder)
    return [next(iterator) for _ in range(count)]
