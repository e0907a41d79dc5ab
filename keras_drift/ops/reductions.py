"""Sums over one axis of pairs that survive empty and far-away sets."""

from keras import ops


def log_sum_exp(logits, axis):
    """`log(sum(exp(logits)))`, minus infinity for a set without any mass."""
    top = _finite_max(logits, axis)
    total = ops.sum(ops.exp(logits - top), axis=axis, keepdims=True)
    present = total > 0
    value = top + ops.log(ops.where(present, total, 1.0))
    value = ops.where(present, value, float("-inf"))
    return ops.squeeze(value, axis=axis)


def barycentres(logits, points):
    """Means of `points` under the weights `exp(logits)`, row by row.

    Args:
        logits: float tensor `(..., n, m)`; minus infinity means absent.
        points: float tensor, broadcasts to `(..., m, d)`.

    Returns:
        `(means, log_mass)`: `(..., n, d)` and `(..., n)`. A row without mass
        has mean 0 and log-mass minus infinity.
    """
    top = _finite_max(logits, -1)
    weights = ops.exp(logits - top)
    mass = ops.sum(weights, axis=-1, keepdims=True)
    present = mass > 0
    safe_mass = ops.where(present, mass, 1.0)
    means = weighted_sums(weights, points) / safe_mass
    log_mass = ops.where(present, top + ops.log(safe_mass), float("-inf"))
    return means, log_mass[..., 0]


def weighted_sums(weights, points):
    """`weights @ points`, for `(..., n, m)` and points that broadcast."""
    # Spelled out, because TensorFlow's eager matmul corrupts memory when it
    # broadcasts a batch axis of one (tensorflow/tensorflow#117700).
    batch = ops.shape(weights)[:-2]
    points = ops.broadcast_to(points, (*batch, *ops.shape(points)[-2:]))
    return ops.matmul(weights, points)


def _finite_max(logits, axis):
    top = ops.max(logits, axis=axis, keepdims=True)
    # The maximum cancels: it needs no gradient, and none flows through a tie.
    return ops.stop_gradient(ops.maximum(top, -1e38))
