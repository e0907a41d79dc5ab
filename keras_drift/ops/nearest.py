"""Nearest points of each sample."""

from keras import ops

from keras_drift.ops.running_sums import nothing
from keras_drift.ops.running_sums import zeros


def nearest_costs(pairs, k=1):
    """Costs of the `k` nearest points of each sample.

    Args:
        pairs: `Pairs`. A point of weight zero is absent; other weights do not
            matter.
        k: int >= 1. Defaults to `1`.

    Returns:
        float32 tensor `(groups, n, k)`, in ascending order; infinity where
        there are fewer points.
    """

    def start(groups, size):
        return (zeros(groups, size, k) + float("inf"),)

    def function(rows, columns, block):
        (nearest,) = rows
        costs = _costs_of_present(block)
        if k == 1:
            found = ops.min(costs, axis=-1, keepdims=True)
            return (ops.minimum(nearest, found),), columns
        costs = ops.concatenate([nearest, costs], axis=-1)
        return (-ops.top_k(-costs, k)[0],), columns

    (nearest,), _ = pairs.fold(function, start, nothing)
    return nearest


def neighbor_radii(pairs, num_neighbors):
    """Distance from each sample to its k-th nearest point.

    More precisely the radius of the smallest ball around a sample that holds
    points of a total weight of `num_neighbors`, where a weight `c` above 1
    counts `c` copies and a smaller one counts as a whole point. With fewer
    points it is the distance to the farthest of them.

    Args:
        pairs: `Pairs`.
        num_neighbors: int >= 1, the `k`.

    Returns:
        float32 tensor `(groups, n)`, 0 for samples without any point.
    """
    if pairs.cloud.weights is None:
        nearest, counts = nearest_costs(pairs, num_neighbors), None
    else:
        nearest, counts = _nearest_with_counts(pairs, num_neighbors)
    found = ops.isfinite(nearest)
    if counts is not None:
        # Up to the point with which the ball is full.
        before = ops.cumsum(counts, axis=-1) - counts
        found = ops.logical_and(found, before < num_neighbors)
    return ops.max(ops.where(found, nearest, 0.0), axis=-1)


def _nearest_with_counts(pairs, k):
    """Costs of the nearest points and for how many points they count."""

    def start(groups, size):
        empty = zeros(groups, size, k)
        return empty + float("inf"), empty

    def function(rows, columns, block):
        nearest, counts = rows
        costs = _costs_of_present(block)
        weights = ops.broadcast_to(
            ops.maximum(block.weights, 1.0), ops.shape(costs)
        )
        costs = ops.concatenate([nearest, costs], axis=-1)
        weights = ops.concatenate([counts, weights], axis=-1)
        found, indices = ops.top_k(-costs, k)
        return (-found, ops.take_along_axis(weights, indices, -1)), columns

    (nearest, counts), _ = pairs.fold(function, start, nothing)
    return nearest, counts


def nearest_points(pairs):
    """The index of the nearest point of each sample.

    Args:
        pairs: `Pairs` with at least one point of positive weight.

    Returns:
        int32 tensor `(groups, n)`; the lowest index where several are equally
        near.
    """
    groups, size = ops.shape(pairs.x)[0], ops.shape(pairs.points)[1]
    # float32 holds every index below 2**24 exactly.
    indices = ops.broadcast_to(
        ops.arange(size, dtype="float32")[None, :, None], (groups, size, 1)
    )

    def start(groups, size):
        return zeros(groups, size) + float("inf"), zeros(groups, size)

    def function(rows, columns, block):
        nearest, index = rows
        costs = _costs_of_present(block)
        found = ops.min(costs, axis=-1, keepdims=True)
        indices = ops.swapaxes(block.columns[0], -1, -2)
        first = ops.min(
            ops.where(costs == found, indices, float("inf")),
            axis=-1,
            keepdims=True,
        )
        nearer = found < nearest
        return (
            ops.where(nearer, found, nearest),
            ops.where(nearer, first, index),
        ), columns

    (_, index), _ = pairs.fold(function, start, nothing, (), (indices,))
    return ops.cast(index[..., 0], "int32")


def counts_within(pairs, radii):
    """How many points have each sample within their radius.

    Args:
        pairs: `Pairs`.
        radii: float tensor `(groups, m)`, costs, one for each point.

    Returns:
        float32 tensor `(groups, n)`, the sums of the weights of these points.
    """

    def function(rows, columns, block):
        (counts,) = rows
        inside = block.costs <= ops.swapaxes(block.columns[0], -1, -2)
        inside = block.count(ops.cast(inside, "float32"))
        return (counts + ops.sum(inside, axis=-1, keepdims=True),), columns

    def start(groups, size):
        return (zeros(groups, size),)

    columns = (radii[..., None],)
    (counts,), _ = pairs.fold(function, start, nothing, (), columns)
    return counts[..., 0]


def _costs_of_present(block):
    costs = block.costs
    if block.weights is not None:
        costs = ops.where(block.weights > 0, costs, float("inf"))
    return block.fill(costs, float("inf"))
