"""Checks and conversions of the arrays that data sets are made from."""

import keras
import numpy as np

# Reading more numbers than this to look for a NaN would delay the start.
_MAX_CHECKED_SIZE = 10**8
_NUM_CHECKED_SAMPLES = 1000


def checked_samples(samples):
    """Returns `samples` as a NumPy array of finite floats `(n, ...)`.

    Nothing is copied: a `np.memmap`, or latents of a `LatentCache`, stay on
    disk, and only the first samples are looked at.
    """
    on_disk = isinstance(samples, np.memmap) or is_lazy(samples)
    samples = as_numpy(samples)
    if samples.dtype == "uint8":
        raise ValueError(
            "`samples` must be floats. Scale images to [-1, 1] first, as in "
            '`samples.astype("float32") / 127.5 - 1`. '
            "Received: samples.dtype=uint8"
        )
    # NumPy does not count bfloat16, which others add to it, among the floats.
    if samples.dtype.kind != "f" and samples.dtype.name != "bfloat16":
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
    return samples


def read(samples, indices):
    """Copies the samples at `indices` into a new float32 array."""
    return samples[indices].astype("float32", copy=False)


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
    if keras.ops.is_tensor(array):
        array = keras.ops.convert_to_numpy(array)
    return np.asarray(array)


def read_only(array):
    """Returns `array`, made read-only."""
    array.flags.writeable = False
    return array


def _check_finite(samples):
    finite = np.isfinite(samples).reshape(len(samples), -1).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"`samples` must be finite, but {np.sum(~finite)} of the "
            f"{len(samples)} checked contain NaN or infinity. Leave them out. "
            f"Received: samples[{np.argmin(finite)}] with such a number"
        )
