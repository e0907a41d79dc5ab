"""The dual field as the release of Deng et al. computes it, for parity.

It differs from `dual_field` in its implementation choices: affinities are
floored, weights are applied outside of the softmaxes, a self-pair is masked by
a large distance and counts in the mean distance, and distances are floored. All
pairs are in memory at once.
"""

from keras import ops

from keras_drift import backend
from keras_drift.ops.distances import squared_distances
from keras_drift.ops.point_cloud import join

_SQUARED_DISTANCE_FLOOR = 1e-8
_MEAN_DISTANCE_FLOOR = 1e-3
_SELF_DISTANCE = 100.0
_AFFINITY_FLOOR = 1e-6
# A distance at which the similarity is zero.
_FAR_AWAY = 1e12


def official_mean_distance(x, positives, negatives):
    """`mean(w * distance) / mean(w)`, the self-distances among them."""
    total, mass = official_distance_sums(x, positives, negatives)
    return ops.mean(total) / ops.mean(mass)


def official_distance_sums(x, positives, negatives):
    """`mean(w * distance)` and `mean(w)` of each group, `(groups,)`.

    The mean distance is the ratio of their means.
    """
    points = join(negatives, positives)
    weights = points.dense_weights()
    distances = _distances(x, points)
    distances = ops.mean(weights[:, None, :] * distances, axis=(1, 2))
    return distances, ops.mean(weights, axis=1)


def official_dual_field(
    log_kernels, x, positives, negatives, mean_distance=None
):
    """Velocities of the official dual field, at relative distances.

    Args:
        log_kernels: sequence of callables, see `keras_drift.ops.reductions`.
        x: float tensor `(groups, n, d)`, the samples.
        positives: `PointCloud`.
        negatives: `PointCloud`.
        mean_distance: float scalar, or `(groups, 1, 1)`. Defaults to `None`:
            `official_mean_distance` of these samples and points.

    Returns:
        For each kernel the velocities, `(groups, n, d)`.
    """
    points = join(negatives, positives)
    if mean_distance is None:
        mean_distance = official_mean_distance(x, positives, negatives)
    distances = _distances(x, points) / ops.maximum(
        mean_distance, _MEAN_DISTANCE_FLOOR
    )
    if points.contains_samples:
        same = ops.eye(
            ops.shape(x)[1], ops.shape(points.points)[1], dtype="float32"
        )
        distances = distances + _SELF_DISTANCE * same
    points = points.masked()
    return [
        _official_velocity(log_kernel(distances), points, negatives)
        for log_kernel in log_kernels
    ]


def _official_velocity(logits, points, negatives):
    over_points = ops.logsumexp(logits, axis=-1, keepdims=True)
    over_samples = ops.logsumexp(logits, axis=-2, keepdims=True)
    # A product of two softmaxes is at most 1: far away, rounding exceeds it.
    products = ops.exp(ops.minimum(2 * logits - over_points - over_samples, 0))
    affinities = ops.sqrt(ops.maximum(products, _AFFINITY_FLOOR))
    affinities = affinities * points.dense_weights()[:, None, :]
    size = ops.shape(negatives.points)[1]
    repel, attract = affinities[..., :size], affinities[..., size:]
    near = backend.matmul(attract, points.points[:, size:])
    here = backend.matmul(repel, points.points[:, :size])
    repulsion = ops.sum(repel, axis=-1, keepdims=True)
    attraction = ops.sum(attract, axis=-1, keepdims=True)
    return repulsion * near - attraction * here


def _distances(x, points):
    """Distances as the release floors them: never below 1e-4.

    In the release a point of weight zero takes part in the softmaxes, so it is
    not masked here; one that is not finite counts as far away.
    """
    finite = None
    masked = points.masked().points
    center = ops.mean(masked, axis=-2, keepdims=True)
    cloud = points.points
    if points.weights is not None:
        finite = ops.all(ops.isfinite(cloud), axis=-1)
        cloud = ops.where(finite[..., None], cloud, masked)
        finite = ops.logical_or(finite, points.weights > 0)[:, None, :]
    squared = squared_distances(x - center, cloud - center, centered=True)
    distances = ops.sqrt(ops.maximum(squared, _SQUARED_DISTANCE_FLOOR))
    if finite is None:
        return distances
    return ops.where(finite, distances, _FAR_AWAY)
