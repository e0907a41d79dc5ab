"""Reference images, from an array or a folder."""

import pathlib

import numpy as np

from keras_drift import extras
from keras_drift import fingerprints
from keras_drift import user_warnings
from keras_drift.evaluation.pixels import to_uint8

_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".webp")


class ArrayImages:
    """Reference images in memory.

    Args:
        images: array `(n, height, width, channels)`, uint8, or float in
            `[-1, 1]`.
        image_shape: tuple of ints, the shape of an image of the model.
    """

    def __init__(self, images, image_shape):
        images = np.asarray(images)
        if images.ndim != 4 or images.shape[1:] != tuple(image_shape):
            raise ValueError(
                "Reference images are `(n, height, width, channels)`, of the "
                "size and channels of the images that the model generates, "
                f"{tuple(image_shape)}. Crop and resize them as for training. "
                f"Received: reference.shape={images.shape}"
            )
        if images.dtype != "uint8":
            images = _bytes_of_floats(images)
        self._images = images

    def __len__(self):
        return len(self._images)

    def digest(self):
        """What the images are identified by."""
        return fingerprints.of_arrays(self._images)

    def read(self, indices):
        """Returns images as uint8 `(n, height, width, channels)`."""
        return self._images[indices]


class FolderImages:
    """Reference images in a folder and the folders in it.

    Args:
        folder: `pathlib.Path`.
        image_shape: tuple of ints, the shape of an image of the model.
    """

    def __init__(self, folder, image_shape):
        self._folder = folder
        self._shape = tuple(image_shape)
        self._open = extras.load(
            "PIL.Image", "Folders of images", "Pillow", "eval"
        ).open
        self._paths = sorted(
            path
            for path in folder.rglob("*")
            if path.suffix.lower() in _SUFFIXES
            and not path.name.startswith(".")
        )
        if not self._paths:
            raise ValueError(
                "`reference` is a folder without images, files that end in "
                f"{', '.join(_SUFFIXES)}. Received: reference={str(folder)!r}"
            )
        self.read([0])

    def __len__(self):
        return len(self._paths)

    def digest(self):
        """What the images are identified by."""
        names = [p.relative_to(self._folder).as_posix() for p in self._paths]
        return fingerprints.of_files(self._paths, names)

    def read(self, indices):
        """Returns images as uint8 `(n, height, width, channels)`."""
        return np.stack([self._read(self._paths[i]) for i in indices])

    def _read(self, path):
        try:
            with self._open(path) as image:
                self._check_size(path, image.size[::-1])
                mode = "L" if self._shape[-1] == 1 else "RGB"
                pixels = np.asarray(image.convert(mode), "uint8")
        except OSError as error:
            raise ValueError(
                "A reference image cannot be read; the metrics would be those "
                "of other images without it. Replace it or take it away. "
                f"Received: {str(path)!r}: {error}"
            ) from error
        return pixels.reshape(self._shape)

    def _check_size(self, path, size):
        if size != self._shape[:2]:
            raise ValueError(
                "Reference images have the size of the images that the model "
                f"generates, {self._shape[:2]}. Crop and resize them as for "
                f"training. Received: {str(path)!r} of size {size}"
            )


def images_of(reference, image_shape):
    """The images that a reference consists of, or `None` if it is a file."""
    if hasattr(reference, "__array__") or isinstance(reference, list):
        return ArrayImages(reference, image_shape)
    path = pathlib.Path(reference).expanduser()
    return FolderImages(path, image_shape) if path.is_dir() else None


def _bytes_of_floats(images):
    if images.dtype.kind != "f":
        raise ValueError(
            "Reference images are bytes (uint8), or floats in [-1, 1]. "
            f"Received: reference of type {images.dtype}"
        )
    if images.size and (images.min() < -1.001 or images.max() > 1.001):
        raise ValueError(
            "Reference images of floats are in [-1, 1], as those of the model: "
            "of bytes they are `images / 127.5 - 1`. Received: reference with "
            f"values from {images.min():g} to {images.max():g}"
        )
    if images.size and images.min() >= 0:
        user_warnings.warn(
            "No value of the reference is negative, so it seems to be in "
            "[0, 1]. Images are in [-1, 1], where 0 is gray: 2 * images - 1."
        )
    # Whatever that of the samples: floats of bytes become these bytes again.
    return to_uint8(images, "nearest")
