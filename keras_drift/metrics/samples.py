"""Flattens, checks and splits sets of samples for the metrics."""

import math

import numpy as np
from keras import ops

from keras_drift import checks
from keras_drift.byte_order import native
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud

# Beyond as many standard deviations from the origin, data in float32 lose more
# digits than the last few.
_FAR = 16.0


def flatten_pair(x, y, keeps_origin=False):
    """Two sets of samples as float32 matrices `(n, d)` and `(m, d)`.

    Args:
        x: array or tensor `(n, ...)`.
        y: array or tensor `(m, ...)`, with as many numbers per sample.
        keeps_origin: bool, whether arrays of float64 far from the origin are
            left there, as needed where directions are compared. Defaults to
            `False`: both sets are moved before they are rounded to float32.

    Returns:
        A pair of float32 tensors of rank 2.

    Raises:
        ValueError: if a set is empty or has no feature axis, or if the samples
            differ in length.
    """
    for name, value in (("x", x), ("y", y)):
        checks.no_masked_entries(name, value)
    if not keeps_origin:
        x, y = near_origin(x, y)
    x, y = flatten(x, "x"), flatten(y, "y")
    check_features(x, y)
    return x, y


def near_origin(x, y):
    """Two sets, moved together where float32 would round off differences.

    Args:
        x: array or tensor `(n, ...)`.
        y: array or tensor `(m, ...)`.

    Returns:
        Both as they are; or, if they are arrays of the host in float64 and far
        from the origin, float64 arrays `(n, d)` and `(m, d)` that are near it.
    """
    arrays = [
        np.asarray(v) if isinstance(v, (list, tuple)) else v for v in (x, y)
    ]
    if not all(_is_float64_set(each) for each in arrays):
        return x, y
    first, second = (each.reshape(len(each), -1) for each in arrays)
    if first.shape[1] != second.shape[1]:
        return x, y
    # Sums of numbers near the largest overflow; such sets stay where they are.
    with np.errstate(all="ignore"):
        center, scale = second.mean(axis=0), second.std(axis=0)
        far = np.isfinite(center) & (np.abs(center) > _FAR * scale)
    if not far.any():
        return x, y
    center = np.where(far, center, 0.0)
    return first - center, second - center


def flatten(x, name):
    """A set of samples `(n, ...)` as a float32 matrix `(n, d)`."""
    checks.no_masked_entries(name, x)
    checks.no_objects(name, x)
    # Half precision cannot tell neighbors apart.
    x = ops.cast(ops.convert_to_tensor(native(x)), "float32")
    shape = tuple(x.shape)
    if len(shape) < 2 or 0 in shape:
        raise ValueError(
            f"`{name}` must be a set of samples, shaped (n, d) or (n, ...), "
            "with at least one sample. Give samples that are single numbers an "
            f"axis of their own: `{name}[:, None]`. "
            f"Received: {name}.shape={shape}"
        )
    if len(shape) == 2:
        return x
    return ops.reshape(x, (-1, math.prod(shape[1:])))


def check_features(x, y):
    """Refuses two flattened sets whose samples differ in length."""
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            "`x` and `y` are compared feature by feature, so their samples "
            "must have the same number of features. Received (flattened): "
            f"x.shape={tuple(x.shape)}, y.shape={tuple(y.shape)}"
        )


def split(y_true, y_pred, sample_weight=None):
    """Splits a batch into three sets of one size.

    The real samples are split into two halves, one to measure against and one
    in the role of a perfect generator. The halves are interleaved, because
    batches often hold one class after the other.

    Args:
        y_true: array or tensor `(n, ...)`, real samples, n >= 2.
        y_pred: array or tensor `(m, ...)`, generated samples.
        sample_weight: must be `None`.

    Returns:
        A tuple `(generated, reference, real, size)`: three float32 tensors with
        `size = min(n // 2, m)` samples each. `size` is an integer, or a tensor
        where the compiled code does not know the size of its batches.

    Raises:
        ValueError: if `sample_weight` is given, or `n < 2`.
    """
    _refuse_weights(sample_weight)
    checks.no_masked_entries("y_true", y_true)
    checks.no_masked_entries("y_pred", y_pred)
    y_true = ops.cast(ops.convert_to_tensor(native(y_true)), "float32")
    # A metric is not trained on: no gradient tape is needed.
    y_pred = ops.stop_gradient(
        ops.cast(ops.convert_to_tensor(native(y_pred)), "float32")
    )
    _check_sizes(y_true, y_pred)
    size = _smaller(ops.shape(y_true)[0] // 2, ops.shape(y_pred)[0])
    generated, reference, real = (
        _thin(samples, size) for samples in (y_pred, y_true[1::2], y_true[0::2])
    )
    return generated, reference, real, size


def all_pairs(x, y):
    """Pairs between two sets, within the first and within the second."""
    x, y = x[None], y[None]
    return tuple(Pairs(a, PointCloud(b)) for a, b in ((x, y), (x, x), (y, y)))


def nan_unless_finite(value, *sets):
    """The value, or NaN if a number of the sets is not finite.

    Comparisons with NaN are false, so such points would be counted like others.
    """
    finite = [ops.all(ops.isfinite(each)) for each in sets]
    found = ops.where(ops.all(ops.stack(finite)), value, float("nan"))
    return ops.cast(found, value.dtype)


def root(squared):
    """Square root of a scalar, clamped at zero, with gradient zero there."""
    # Rounding can leave a distance of zero slightly negative, and `sqrt` is
    # infinitely steep at 0.
    # Not `> 0`: a distance that is not a number must not look like zero.
    zero = squared <= 0
    safe = ops.where(zero, ops.ones_like(squared), squared)
    return ops.where(zero, ops.zeros_like(squared), ops.sqrt(safe))


def _is_float64_set(x):
    return (
        isinstance(x, np.ndarray)
        and x.dtype == "float64"
        and x.ndim >= 2
        and x.size > 0
    )


def _refuse_weights(sample_weight):
    if sample_weight is not None:
        raise ValueError(
            "A distance between two sets has no term per sample that "
            "`sample_weight` could weigh, and its floor holds for plain "
            "samples only. Pass the metric as `compile(metrics=[...])`, not as "
            "`weighted_metrics`. Received: "
            f"sample_weight of shape {tuple(ops.shape(sample_weight))}"
        )


def _check_sizes(y_true, y_pred):
    shapes = (
        f"Received: y_true.shape={tuple(y_true.shape)}, "
        f"y_pred.shape={tuple(y_pred.shape)}"
    )
    if len(y_true.shape) < 2 or len(y_pred.shape) < 2:
        raise ValueError(
            "`y_true` and `y_pred` must be sets of samples, shaped (n, d) or "
            f"(n, ...). {shapes}"
        )
    if y_true.shape[0] in (0, 1) or y_pred.shape[0] == 0:
        raise ValueError(
            "A distance with its floor needs at least two real samples, one "
            "for each half, and one generated sample. Use larger batches, and "
            f"drop the last one if it is short. {shapes}"
        )


def _smaller(first, second):
    # Sizes must stay Python integers wherever they can: slices are static.
    if isinstance(first, int) and isinstance(second, int):
        return min(first, second)
    return ops.minimum(first, second)


def _thin(samples, size):
    """`size` samples, evenly spaced, so that no class is left out."""
    return ops.take(samples, _spaced(ops.shape(samples)[0], size), axis=0)


def _spaced(count, size):
    """`size` indices below `count`, index `i` at `i * count / size`.

    Sets of equally many samples of each class, one class after the other, keep
    equally many of each, where `size` is a multiple of the number of classes.
    """
    # In 64 bits: the products of large sets exceed 32.
    if isinstance(count, int) and isinstance(size, int):
        return (np.arange(size, dtype="int64") * count // size).astype("int32")
    # A size that is only known when the code runs may turn out to be zero.
    count, size = ops.cast(count, "int64"), ops.cast(size, "int64")
    return ops.arange(size, dtype="int64") * count // ops.maximum(size, 1)
