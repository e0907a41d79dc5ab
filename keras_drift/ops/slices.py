"""Optimal transport along one direction at a time."""

import functools
import math

import numpy as np
from keras import ops

from keras_drift import backend


def sliced_transport(x, cloud, num_projections=128, seed=0):
    """Mean squared transport length over random directions, group by group.

    Both sets are projected on each direction, where the best transport is found
    by sorting: it matches equal levels of the two quantile functions.

    Args:
        x: float tensor `(groups, n, d)`, samples of equal mass.
        cloud: `Cloud` of `m` points, whose masses are their weights. Where a
            compiled program does not know the sizes, `m` is taken to be `n`
            unless there are weights.
        num_projections: int >= 1, the number of directions, which come in
            orthogonal blocks. Defaults to `128`.
        seed: int, of the directions. Defaults to `0`.

    Returns:
        `(groups,)`: the square of the sliced 2-Wasserstein distance.

    Example:

    >>> from keras_drift import ops
    >>> x, y = keras.ops.zeros((1, 3, 1)), keras.ops.full((1, 2, 1), 4.0)
    >>> float(ops.sliced_transport(x, ops.Cloud(y))[0])
    16.0
    """
    directions = slice_directions(num_projections, x.shape[-1], seed)
    # About a common centre, so that an offset of both sets costs no digits.
    centre = ops.stop_gradient(ops.mean(cloud.points, axis=-2, keepdims=True))
    x, y = (
        backend.matmul(
            ops.convert_to_tensor(directions),
            ops.swapaxes(points - centre, -1, -2),
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
    x_index, y_index, mass = _joint_quantiles(n, m)
    squares = ops.square(
        ops.take(x, x_index, axis=-1) - ops.take(y, y_index, axis=-1)
    )
    mass = ops.convert_to_tensor(mass)
    return ops.mean(ops.sum(squares * mass, axis=-1), axis=-1)


def _weighted_transport(x, y, weights):
    """The same for points of unequal mass; the levels of `y` are data."""
    order = ops.argsort(y, axis=-1)
    y = ops.take_along_axis(y, order, axis=-1)
    shares = weights / ops.sum(weights, axis=-1, keepdims=True)
    shares = ops.broadcast_to(shares[:, None, :], ops.shape(y))
    y_levels = ops.cumsum(ops.take_along_axis(shares, order, axis=-1), axis=-1)
    n, m = ops.shape(x)[-1], ops.shape(y)[-1]
    x_levels = ops.cast(ops.arange(1, n + 1), "float32") / ops.cast(
        n, "float32"
    )
    x_levels = ops.broadcast_to(x_levels, ops.shape(x))
    # At the union of both grids. Rounding may leave the last level of `y`
    # short of 1, where the last point takes what is left.
    levels = ops.concatenate([x_levels, ops.minimum(y_levels, 1.0)], axis=-1)
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


@functools.lru_cache(maxsize=16)
def slice_directions(num_projections, dim, seed):
    """Unit vectors `(num_projections, dim)`, orthogonal in blocks of `dim`.

    A NumPy array. In one dimension there is but one direction.
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
def _joint_quantiles(n, m):
    """Which sorted samples exchange mass, and how much.

    Sample `i` of `n` holds the levels from `i / n` to `(i + 1) / n`. Between
    two neighbours in the union of both grids, one `x` goes to one `y`.
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
