"""Optimal transport along lines: one-dimensional, solved by sorting."""

import functools
import math
from typing import Any
from typing import NamedTuple

import numpy as np
from keras import ops

from keras_drift import backend
from keras_drift.ops.point_cloud import mask_absent

# Of mass, at most: small enough for sums of int32.
_LEVELS = 2**30


@functools.lru_cache(maxsize=16)
def slice_directions(num_projections, dim, seed):
    """Random unit vectors `(num_projections, dim)`, in orthogonal blocks.

    For `dim = 1` there is only one. A NumPy array, the same on every backend,
    read-only because it is cached.
    """
    if dim == 1:
        return _read_only(np.ones((1, 1), "float32"))
    rng = np.random.default_rng(seed)
    num_blocks = math.ceil(num_projections / dim)
    width = min(num_projections, dim)
    blocks = [
        # The sign of a direction does not matter to the distance.
        np.linalg.qr(rng.normal(size=(dim, width)))[0].T
        for _ in range(num_blocks)
    ]
    return _read_only(
        np.concatenate(blocks)[:num_projections].astype("float32")
    )


@functools.lru_cache(maxsize=16)
def joint_quantiles(n, m):
    """The monotone coupling of `n` and `m` sorted samples of equal mass.

    Sample `i` of `n` holds the levels from `i / n` to `(i + 1) / n`. Between
    two neighbors in the union of both grids, one `x` is matched to one `y`.

    Returns:
        The index of the `x`, of the `y`, and their mass, which sums to 1:
        read-only NumPy arrays of at most `n + m - 1` values.
    """
    # In units of 1 / (n m), in which all levels are integers.
    levels = np.union1d(np.arange(n + 1) * m, np.arange(m + 1) * n)
    mass = np.diff(levels) / (n * m)
    start = levels[:-1]
    return tuple(
        _read_only(array)
        for array in (
            (start // m).astype("int32"),
            (start // n).astype("int32"),
            mass.astype("float32"),
        )
    )


def _read_only(array):
    """The array, which a cache returns to many callers."""
    array.setflags(write=False)
    return array


def sliced_transport(x, cloud, num_projections=128, seed=0):
    """Squared sliced 2-Wasserstein distance of each group.

    Both sets are projected on random directions, where the optimal transport is
    found by sorting: it matches equal levels of the two quantile functions.

    Args:
        x: float tensor `(groups, n, d)`, samples of equal mass.
        cloud: `PointCloud` of `m` points, whose masses are their weights. Where
            a compiled program does not know the sizes, `m` is taken to be `n`
            unless there are weights.
        num_projections: int >= 1, the number of directions, which come in
            orthogonal blocks. Defaults to `128`.
        seed: int, of the directions. Defaults to `0`.

    Returns:
        `(groups,)`: the mean over the directions of the squared 2-Wasserstein
        distance. 0 for a group of points without any weight.

    Example:

    >>> from keras_drift import ops
    >>> x, y = keras.ops.zeros((1, 3, 1)), keras.ops.full((1, 2, 1), 4.0)
    >>> float(ops.sliced_transport(x, ops.PointCloud(y))[0])
    16.0
    """
    directions = slice_directions(num_projections, x.shape[-1], seed)
    cloud = cloud.masked()
    # About a common center: an offset of both sets would cost digits.
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
    """The same for points of unequal mass; their levels are data."""
    order = ops.argsort(y, axis=-1)
    y = ops.take_along_axis(y, order, axis=-1)
    weights = ops.broadcast_to(weights[:, None, :], ops.shape(y))
    n = ops.shape(x)[-1]
    weights = ops.take_along_axis(weights, order, axis=-1)
    coupling = _couple(weights, n)
    costs = ops.sum(
        coupling.rest
        * ops.square(x - ops.take_along_axis(y, coupling.point, axis=-1)),
        axis=-1,
    )
    for cell, mass in coupling.parts:
        gaps = ops.take_along_axis(x, cell, axis=-1) - y
        costs = costs + ops.sum(mass * ops.square(gaps), axis=-1)
    costs = ops.mean(costs, axis=-1) / ops.cast(n, "float32")
    return ops.where(ops.sum(weights[:, 0], axis=-1) > 0, costs, 0.0)


def quantile_means(values, n, weights=None):
    """Barycentric images of `n` sorted samples under transport on a line.

    The optimal transport matches the first sample with the lowest `1 / n` of
    the mass of the points, the second one with the next, and so on.

    Args:
        values: float tensor `(..., m)`, points on a line.
        n: int or int scalar tensor, the number of samples.
        weights: float tensor `(..., m)`, >= 0, or `None` for ones. The masses
            of the points are proportional to it; they get no gradient.

    Returns:
        float32 tensor `(..., n)`: the means of the points that each sample
        is matched with, in ascending order. Zeros if all weights are zero.

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
    else:
        values = mask_absent(values[..., None], weights)[..., 0]
    order = ops.argsort(values, axis=-1)
    values = ops.take_along_axis(values, order, axis=-1)
    weights = ops.take_along_axis(weights, order, axis=-1)
    return _weighted_means(values, weights, n)


@functools.lru_cache(maxsize=16)
def _cells(n, m):
    """For each sample the points it is matched with, `(n, most)`; shares."""
    x_index, y_index, mass = joint_quantiles(n, m)
    slot = np.arange(len(x_index)) - np.searchsorted(x_index, x_index)
    index = np.zeros((n, slot.max() + 1), "int32")
    share = np.zeros(index.shape, "float32")
    index[x_index, slot] = y_index
    share[x_index, slot] = n * mass
    return _read_only(index), _read_only(share)


def _weighted_means(values, weights, n):
    """The same for sorted points whose masses are known only when run."""
    coupling = _couple(weights, n)
    means = coupling.rest * ops.take_along_axis(values, coupling.point, axis=-1)
    cells, masses = zip(*coupling.parts, strict=True)
    moved = [mass * values for mass in masses]
    return means + _sum_by_cell(
        ops.concatenate(moved, axis=-1), ops.concatenate(cells, axis=-1), n
    )


class _Coupling(NamedTuple):
    """The monotone coupling of `n` equal cells with sorted, weighted points.

    Masses are in units of a cell. A point gives mass to the cell in which its
    interval of levels starts, to the one in which it ends, and to all between.

    Attributes:
        parts: two pairs `(cell, mass)`, of the start and the end of each point:
            int32 and float32 tensors `(..., m)`.
        rest: float32 tensor `(..., n)`: the mass of each cell that is not among
            the parts, as a single point spans the cell.
        point: int32 tensor `(..., n)`: the point that it comes from.
    """

    parts: tuple
    rest: Any
    point: Any


def _couple(weights, n):
    """The `_Coupling` of points of given weights `(..., m)` to `n` cells.

    Levels are integers, `size` to a cell: sums of floats would round each level
    to a share of all mass, which is an error of cells where there are many.
    """
    m = ops.shape(weights)[-1]
    size = _LEVELS // n
    ends = _integer_levels(weights, n * size)
    starts = ops.concatenate(
        [ops.zeros_like(ends[..., :1]), ends[..., :-1]], axis=-1
    )
    first, last = starts // size, ends // size
    # Not the end of the cell, which a single cell has beyond int32.
    in_first = ops.minimum(ends - starts, size - (starts - first * size))
    in_last = ops.where(last > first, ends - last * size, 0)
    parts = tuple(
        (
            ops.minimum(cell, n - 1),
            ops.cast(mass, "float32") / ops.cast(size, "float32"),
        )
        for cell, mass in ((first, in_first), (last, in_last))
    )
    cells = ops.concatenate([cell for cell, _ in parts], axis=-1)
    # In one pass the mass that cells receive, and how many points end there.
    sums = _sum_by_cell(
        ops.stack(
            [
                ops.concatenate([in_first, in_last], axis=-1),
                ops.cast(ops.arange(2 * m, dtype="int32") >= m, "int32")
                + ops.zeros_like(cells),
            ],
            axis=-1,
        ),
        cells,
        n,
    )
    rest = ops.cast(size - sums[..., 0], "float32") / ops.cast(size, "float32")
    ended = ops.cumsum(sums[..., 1], axis=-1) - sums[..., 1]
    return _Coupling(parts, rest, ops.minimum(ended, m - 1))


def _integer_levels(weights, total):
    """Cumulative sums of weights `(..., m)` as int32 that end at `total`.

    No rounding accumulates: each weight is split into an integer part and a
    fraction in fixed point, and sums of integers are exact.
    """
    mass = ops.sum(weights, axis=-1, keepdims=True)
    mass = ops.where(mass > 0, mass, 1.0)
    scaled = weights / mass * ops.cast(total, "float32")
    whole = ops.floor(scaled)
    unit = _LEVELS // ops.shape(weights)[-1]
    fraction = ops.floor((scaled - whole) * ops.cast(unit, "float32"))
    levels = ops.cumsum(ops.cast(whole, "int32"), axis=-1)
    levels = levels + ops.cumsum(ops.cast(fraction, "int32"), axis=-1) // unit
    # The float32 sum of the weights misses the last level by a small share,
    # which is spread over all levels.
    end = levels[..., -1:]
    share = ops.cast(levels, "float32") / ops.cast(
        ops.maximum(end, 1), "float32"
    )
    excess = ops.cast(end - total, "float32")
    return levels - ops.cast(ops.round(excess * share), "int32")


def _sum_by_cell(values, cells, n):
    """Sums of `values` `(..., k)` or `(..., k, c)` by cell: `(..., n, ...)`."""
    shape = ops.shape(cells)
    rows = 1
    for size in shape[:-1]:
        rows = rows * size
    offsets = ops.reshape(n * ops.arange(rows, dtype="int32"), (-1, 1))
    ids = ops.reshape(cells, (-1, shape[-1])) + offsets
    rest = tuple(ops.shape(values)[len(shape) :])
    sums = ops.segment_sum(
        ops.reshape(values, (-1, *rest)), ops.reshape(ids, (-1,)), rows * n
    )
    return ops.reshape(sums, (*shape[:-1], n, *rest))
