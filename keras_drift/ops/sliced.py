"""Optimal transport along lines, where it is found by sorting."""

import functools
import math

import numpy as np
from keras import ops

from keras_drift import backend


@functools.lru_cache(maxsize=16)
def slice_directions(num_projections, dim, seed):
    """Unit vectors `(num_projections, dim)`, orthogonal in blocks of `dim`.

    For `dim = 1` there is but one. A NumPy array, the same on every backend.
    """
    if dim == 1:
        return np.ones((1, 1), "float32")
    rng = np.random.default_rng(seed)
    num_blocks = math.ceil(num_projections / dim)
    width = min(num_projections, dim)
    blocks = [
        # The sign of a direction does not matter to the distance.
        np.linalg.qr(rng.normal(size=(dim, width)))[0].T
        for _ in range(num_blocks)
    ]
    return np.concatenate(blocks)[:num_projections].astype("float32")


@functools.lru_cache(maxsize=16)
def joint_quantiles(n, m):
    """Which sorted samples exchange mass, and how much.

    Sample `i` of `n` holds the levels from `i / n` to `(i + 1) / n`. Between
    two neighbors in the union of both grids, one `x` goes to one `y`.

    Returns:
        The index of the `x`, of the `y`, and the mass, of which there is 1 in
        all: NumPy arrays of at most `n + m - 1` values.
    """
    # In units of 1 / (n m), where all levels are whole numbers.
    levels = np.union1d(np.arange(n + 1) * m, np.arange(m + 1) * n)
    mass = np.diff(levels) / (n * m)
    start = levels[:-1]
    return (
        (start // m).astype("int32"),
        (start // n).astype("int32"),
        mass.astype("float32"),
    )


def sliced_transport(x, cloud, num_projections=128, seed=0):
    """Mean squared transport length over random directions, group by group.

    Both sets are projected on each direction, where the best transport is found
    by sorting: it matches equal levels of the two quantile functions.

    Args:
        x: float tensor `(groups, n, d)`, samples of equal mass.
        cloud: `PointCloud` of `m` points, whose masses are their weights. Where
            a compiled program does not know the sizes, `m` is taken to be `n`
            unless there are weights.
        num_projections: int >= 1, the number of directions, which come in
            orthogonal blocks. Defaults to `128`.
        seed: int, of the directions. Defaults to `0`.

    Returns:
        `(groups,)`: the square of the sliced 2-Wasserstein distance.

    Example:

    >>> from keras_drift import ops
    >>> x, y = keras.ops.zeros((1, 3, 1)), keras.ops.full((1, 2, 1), 4.0)
    >>> float(ops.sliced_transport(x, ops.PointCloud(y))[0])
    16.0
    """
    directions = slice_directions(num_projections, x.shape[-1], seed)
    # About a common center, so that an offset of both sets costs no digits.
    center = ops.stop_gradient(ops.mean(cloud.points, axis=-2, keepdims=True))
    x, y = (
        backend.matmul(
            ops.convert_to_tensor(directions),
            ops.swapaxes(points - center, -1, -2),
        )
        for points in (x, cloud.points)
    )
    x = ops.sort(x, axis=-1)
    if cloud.weights is not None:
        return _weighted_transport(x, y, cloud.weights)
    y = ops.sort(y, axis=-1)
    n, m = x.shape[-1], y.shape[-1]
    if n == m or None in (n, m):
        return ops.mean(ops.square(x - y), axis=(-2, -1))
    x_index, y_index, mass = joint_quantiles(n, m)
    squares = ops.square(
        ops.take(x, x_index, axis=-1) - ops.take(y, y_index, axis=-1)
    )
    mass = ops.convert_to_tensor(mass)
    return ops.mean(ops.sum(squares * mass, axis=-1), axis=-1)


def _weighted_transport(x, y, weights):
    """The same for points of unequal mass; the levels of `y` are data."""
    order = ops.argsort(y, axis=-1)
    y = ops.take_along_axis(y, order, axis=-1)
    weights = ops.broadcast_to(weights[:, None, :], ops.shape(y))
    y_levels = ops.cumsum(ops.take_along_axis(weights, order, axis=-1), axis=-1)
    # The last level is 1 to the last digit: where it falls short, the last
    # point would take what is left, even if it has no weight.
    y_levels = y_levels / y_levels[..., -1:]
    n, m = ops.shape(x)[-1], ops.shape(y)[-1]
    x_levels = ops.cast(ops.arange(1, n + 1), "float32") / ops.cast(
        n, "float32"
    )
    x_levels = ops.broadcast_to(x_levels, ops.shape(x))
    # At the union of both grids.
    levels = ops.concatenate([x_levels, y_levels], axis=-1)
    merged = ops.argsort(levels, axis=-1)
    levels = ops.take_along_axis(levels, merged, axis=-1)
    mass = levels - ops.pad(levels, [[0, 0], [0, 0], [1, 0]])[..., :-1]
    # The levels of a set that lie below a cell say which of it are passed.
    is_y = ops.cast(merged >= n, "int32")
    passed = ops.cumsum(is_y, axis=-1) - is_y
    y_index = ops.minimum(passed, m - 1)
    x_index = ops.minimum(ops.arange(n + m) - passed, n - 1)
    squares = ops.square(
        ops.take_along_axis(x, x_index, axis=-1)
        - ops.take_along_axis(y, y_index, axis=-1)
    )
    return ops.mean(ops.sum(squares * mass, axis=-1), axis=-1)


def quantile_means(values, n, weights=None):
    """Where each of `n` sorted samples goes on average.

    The best transport on a line gives the first sample the lowest `1 / n` of
    the mass of the points, the second one the next, and so on.

    Args:
        values: float tensor `(..., m)`, points on a line.
        n: int or int scalar tensor, the number of samples.
        weights: float tensor `(..., m)`, >= 0, or `None` for ones. The masses
            of the points are in proportion to it; their sum must not be 0.

    Returns:
        float32 tensor `(..., n)`: the means of the points that each sample
        receives, in ascending order.

    Example:

    >>> from keras_drift import ops
    >>> points = keras.ops.convert_to_tensor([[3.0, 1.0, 2.0, 4.0]])
    >>> keras.ops.convert_to_numpy(ops.quantile_means(points, 2)).tolist()
    [[1.5, 3.5]]
    """
    m = values.shape[-1]
    if weights is None and isinstance(n, int) and m is not None:
        values = ops.sort(values, axis=-1)
        if n == m:
            return values
        index, share = _cells(n, m)
        share = ops.convert_to_tensor(share)
        return ops.sum(ops.take(values, index, axis=-1) * share, axis=-1)
    if weights is None:
        weights = ops.ones_like(values)
    order = ops.argsort(values, axis=-1)
    values = ops.take_along_axis(values, order, axis=-1)
    weights = ops.take_along_axis(weights, order, axis=-1)
    return _weighted_means(values, weights, n)


@functools.lru_cache(maxsize=16)
def _cells(n, m):
    """For each sample the points it gets, `(n, most)`, and their shares."""
    x_index, y_index, mass = joint_quantiles(n, m)
    turn = np.arange(len(x_index)) - np.searchsorted(x_index, x_index)
    index = np.zeros((n, turn.max() + 1), "int32")
    share = np.zeros(index.shape, "float32")
    index[x_index, turn] = y_index
    share[x_index, turn] = n * mass
    return index, share


def _weighted_means(values, weights, n):
    """The same for sorted points whose masses are known only when run."""
    m = ops.shape(values)[-1]
    received = ops.cumsum(weights, axis=-1)
    total = received[..., -1:]
    total = ops.where(total > 0, total, 1.0)
    received = received / total
    # Around their mean, so that sums of many cost few digits.
    center = ops.sum(weights * values, axis=-1, keepdims=True) / total
    given = ops.cast(ops.arange(1, n + 1), "float32") / ops.cast(n, "float32")
    # The levels at which a point is full or a sample is empty. Between two of
    # them, one sample goes to one point.
    levels = ops.concatenate(
        [received, ops.zeros_like(received[..., :1]) + given], axis=-1
    )
    order = ops.argsort(levels, axis=-1)
    levels = ops.take_along_axis(levels, order, axis=-1)
    mass = _increments(levels)
    full = ops.cast(order < m, "int32")
    point = ops.minimum(ops.cumsum(full, axis=-1) - full, m - 1)
    moved = mass * ops.take_along_axis(values - center, point, axis=-1)
    sums = ops.cumsum(moved, axis=-1)
    empty = ops.argsort(order, axis=-1)[..., m:]
    sums = _increments(ops.take_along_axis(sums, empty, axis=-1))
    return center + sums * ops.cast(n, "float32")


def _increments(sums):
    """The inverse of `cumsum`."""
    return ops.concatenate(
        [sums[..., :1], sums[..., 1:] - sums[..., :-1]], axis=-1
    )
