"""Checks and conversions of the arrays that data sets are made from."""

import keras
import numpy as np

from keras_drift import checks
from keras_drift import user_warnings

# Reading more numbers than this to look for a NaN would delay the start.
_MAX_CHECKED_SIZE = 10**8
_NUM_CHECKED_SAMPLES = 1000


def checked_samples(samples):
    """Returns `samples` as a NumPy array of finite floats `(n, ...)`.

    Nothing is copied: a `np.memmap`, or latents of a `LatentCache`, stay on
    disk, and only the first samples are looked at.
    """
    refuse_folder(samples)
    on_disk = isinstance(samples, np.memmap) or is_lazy(samples)
    samples = as_numpy(samples)
    if samples.dtype == "uint8":
        raise ValueError(
            "`samples` must be floats. Scale images to [-1, 1] first, as in "
            '`samples.astype("float32") / 127.5 - 1`. '
            "Received: samples.dtype=uint8"
        )
    if not is_float(samples.dtype):
        raise ValueError(
            '`samples` must be floats, as of `samples.astype("float32")`. '
            f"Received: samples.dtype={samples.dtype}"
        )
    if samples.ndim < 2 or samples.size == 0:
        raise ValueError(
            "`samples` must be a non-empty array `(num_samples, ...)` with at "
            "least one axis of features; write numbers as `samples[:, None]`. "
            f"Received: samples.shape={samples.shape}"
        )
    if on_disk or samples.size > _MAX_CHECKED_SIZE:
        _check_finite(samples[:_NUM_CHECKED_SAMPLES])
    else:
        _check_finite(samples)
    warn_of_unscaled_images(samples)
    return samples


def refuse_folder(data):
    """Refuses an `ImageFolder`, which is no array and makes no groups."""
    # What Keras reads a folder with is a `tf.data.Dataset`, and is none.
    if getattr(data, "decodes_files", False):
        raise TypeError(
            "A folder of images decodes files, and a drift compares groups of "
            "a class. If the images fit in memory, give "
            "`GroupedDataset(*folder.load())`; else `BankedDataset(folder, "
            f"...)`. Received: {type(data).__name__}"
        )


def read(samples, indices):
    """Copies the samples at `indices` into a new float32 array."""
    return samples[indices].astype("float32", copy=False)


def is_float(dtype):
    """Whether a NumPy dtype is one of floats, bfloat16 among them.

    NumPy does not count that among the floats, since others add it.
    """
    return dtype.kind == "f" or dtype.name == "bfloat16"


def is_lazy(array):
    """Whether it is indexed like an array, but is not one NumPy could hold."""
    return (
        hasattr(array, "shape")
        and hasattr(array, "dtype")
        and hasattr(array, "__getitem__")
        and not hasattr(array, "__array__")
    )


def as_numpy(array):
    """Tensors of any device as NumPy arrays.

    NumPy arrays, and lazy ones, as they are.
    """
    if is_lazy(array):
        return array
    checks.no_masked_entries("array", array)
    if keras.ops.is_tensor(array):
        array = keras.ops.convert_to_numpy(array)
    return np.asarray(array)


def read_only(array):
    """Returns `array`, made read-only."""
    array.flags.writeable = False
    return array


def warn_of_unscaled_images(samples):
    """Warns of what looks like images with the values of files.

    Args:
        samples: array `(n, ...)`, of which the first 1,000 are looked at.
    """
    samples = samples[:_NUM_CHECKED_SAMPLES]
    if samples.ndim != 4 or samples.shape[-1] not in (1, 3) or not samples.size:
        return
    low, high = float(samples.min()), float(samples.max())
    if low < 0 or low == high:
        return
    if 1 < high <= 100 or high > 255:
        return
    scale = "images * 2 - 1" if high <= 1 else "images / 127.5 - 1"
    user_warnings.warn(
        "If these samples are images, scale them to [-1, 1], in which images "
        f"are shown, measured and exported: `{scale}`. Received: samples from "
        f"{low:g} to {high:g}"
    )


def _check_finite(samples):
    finite = np.isfinite(samples).reshape(len(samples), -1).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"`samples` must be finite, but {np.sum(~finite)} of the "
            f"{len(samples)} checked contain NaN or infinity. Leave them out. "
            f"Received: samples[{np.argmin(finite)}] with such a number"
        )
