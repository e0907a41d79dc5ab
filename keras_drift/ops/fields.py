"""Velocity fields of kernel drifts: all that touches pairs of samples.

Every field takes the samples `x` as `(groups, n, d)`, the positives and the
negatives as a `Cloud`, and a function from distances `(...)` to stacked
log-similarities `(bandwidths, ...)`. It returns the velocity of each sample for
each bandwidth, `(bandwidths, groups, n, d)`.
"""

from keras import ops

from keras_drift.ops.cloud import self_pairs
from keras_drift.ops.distances import pairwise_distances
from keras_drift.ops.distances import squared_distances
from keras_drift.ops.reductions import barycentres
from keras_drift.ops.reductions import log_sum_exp
from keras_drift.ops.reductions import weighted_sums

# Three constants of the release of Deng et al., kept for parity with it.
_RELEASED_SQUARED_DISTANCE_FLOOR = 1e-8
_RELEASED_SELF_DISTANCE = 100.0
_RELEASED_AFFINITY_FLOOR = 1e-6


def mean_distance(x, *clouds):
    """Weighted mean distance of samples to the points they interact with.

    Returns:
        A scalar, over all groups, samples and points; self-pairs left out.
    """
    total, mass = 0.0, 0.0
    for cloud in clouds:
        weights = ops.exp(cloud.log_weights(ops.shape(x)[-2]))
        distances = pairwise_distances(x, cloud.points)
        weights = ops.broadcast_to(weights, ops.shape(distances))
        total += ops.sum(weights * distances)
        mass += ops.sum(weights)
    return total / ops.maximum(mass, 1e-30)


def row_field(log_similarity, x, positives, negatives):
    """Mean of the positives near `x` minus mean of the negatives near `x`.

    `V(x) = sum_j k(x, y_j) y_j / sum_j k(x, y_j)  -  the same over negatives`.
    A mean over nothing is the sample itself, which then feels no force from it.
    """
    return _mean_near(log_similarity, x, positives) - _mean_near(
        log_similarity, x, negatives
    )


def dual_field(log_similarity, x, positives, negatives):
    """Algorithm 2 of Deng et al., with weights that count samples.

    The affinity of sample i to point j is
    `A_ij = w_j k_ij / sqrt(sum_l w_l k_il * sum_i k_ij)`, the geometric mean of
    a softmax over points and one over samples. With `P` and `Q` its sums over
    the positives and negatives, `V = P Q (C+ - C-)`: the difference of the
    affinity-weighted means, each weighed by the mass of the other side.
    """
    attract, repel = (
        log_similarity(pairwise_distances(x, cloud.points))
        for cloud in (positives, negatives)
    )
    pull, push = (
        cloud.log_weights(ops.shape(x)[-2]) for cloud in (positives, negatives)
    )
    # A sample is normalised over all points, each point over the samples that
    # interact with it.
    over_points = log_sum_exp(
        ops.concatenate([attract + pull, repel + push], axis=-1), -1
    )
    attract = _affinities(attract, pull, over_points)
    repel = _affinities(repel, push, over_points)
    near, log_p = barycentres(attract, positives.points)
    here, log_q = barycentres(repel, negatives.points)
    gain = ops.exp(log_p + log_q)[..., None]
    return ops.where(gain > 0, gain * (near - here), 0.0)


def released_dual_field(log_similarity, x, positives, negatives, unit):
    """`dual_field` as the release of Deng et al. computes it, for parity.

    It differs where mathematics would not: affinities are floored, weights
    stand outside of the softmaxes, a self-pair is merely far away, and the
    distances are floored. `log_similarity` takes distances over `unit`, the
    mean distance.
    """
    num_negatives = ops.shape(negatives.points)[-2]
    points = ops.concatenate([negatives.points, positives.points], axis=-2)
    weights = _released_weights(positives, negatives)
    distances = _released_distances(x, points) / unit
    if negatives.contains_samples:
        same = self_pairs(ops.shape(x)[-2], ops.shape(points)[-2])
        distances = distances + ops.where(same, _RELEASED_SELF_DISTANCE, 0.0)
    logits = log_similarity(distances)
    over_points = log_sum_exp(logits, -1)[..., :, None]
    over_samples = log_sum_exp(logits, -2)[..., None, :]
    products = ops.exp(2 * logits - over_points - over_samples)
    affinities = ops.sqrt(ops.maximum(products, _RELEASED_AFFINITY_FLOOR))
    affinities = affinities * weights[:, None, :]
    repel = affinities[..., :num_negatives]
    attract = affinities[..., num_negatives:]
    attract = attract * ops.sum(repel, axis=-1, keepdims=True)
    repel = repel * ops.sum(affinities[..., num_negatives:], -1, keepdims=True)
    near = weighted_sums(attract, positives.points)
    here = weighted_sums(repel, negatives.points)
    return near - here


def released_mean_distance(x, positives, negatives):
    """`mean(w * distance) / mean(w)`, the self-distances among them."""
    points = ops.concatenate([negatives.points, positives.points], axis=-2)
    weights = _released_weights(positives, negatives)
    distances = _released_distances(x, points)
    return ops.mean(weights[:, None, :] * distances) / ops.mean(weights)


def _released_distances(x, points):
    """Distances as the release floors them: never below 1e-4."""
    squared = squared_distances(x, points)
    return ops.sqrt(ops.maximum(squared, _RELEASED_SQUARED_DISTANCE_FLOOR))


def _released_weights(positives, negatives):
    """Weights of the negatives, then of the positives: `(groups, points)`."""
    weights = [
        ops.ones_like(cloud.points[..., 0])
        if cloud.weights is None
        else cloud.weights
        for cloud in (negatives, positives)
    ]
    return ops.concatenate(weights, axis=-1)


def _mean_near(log_similarity, x, cloud):
    logits = log_similarity(pairwise_distances(x, cloud.points))
    logits = logits + cloud.log_weights(ops.shape(x)[-2])
    means, log_mass = barycentres(logits, cloud.points)
    return ops.where(log_mass[..., None] > float("-inf"), means, x)


def _affinities(logits, log_weights, over_points):
    """Logs of `w_j k_ij / sqrt(mass_of_i * mass_of_j)`."""
    masked = ops.where(log_weights > float("-inf"), logits, float("-inf"))
    over_samples = log_sum_exp(masked, -2)
    norm = 0.5 * (over_points[..., :, None] + over_samples[..., None, :])
    # An absent pair stays absent, also where its normaliser is absent too.
    present = masked > float("-inf")
    norm = ops.where(present, norm, 0.0)
    return ops.where(present, logits + log_weights - norm, float("-inf"))
