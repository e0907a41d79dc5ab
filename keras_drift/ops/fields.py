"""Velocity fields of kernel drifts.

A field takes `log_kernels`, see `keras_drift.ops.reductions`, one for each
bandwidth, and returns the velocity of each sample for each of them: a list of
tensors `(groups, n, d)`. With `bias_correction`, means over few points are
corrected, see `keras_drift.ops.mean_shifts`.
"""

from keras import ops

from keras_drift import backend
from keras_drift.ops.means import barycenters
from keras_drift.ops.means import mean_displacements
from keras_drift.ops.means import mean_shifts
from keras_drift.ops.means import weighted_sums
from keras_drift.ops.reductions import geometric_softmax
from keras_drift.ops.reductions import log_sum_exp
from keras_drift.ops.turns import Turns


def row_field(log_kernels, positives, negatives, bias_correction=False):
    """Mean of the positives near a sample minus mean of the negatives near it.

    `V(x) = sum_j k(x, y_j) y_j / sum_j k(x, y_j)  -  the same over negatives`.
    A mean over no points is the sample itself: it contributes no velocity.

    Args:
        log_kernels: sequence of callables, see above.
        positives: `Pairs` of the samples with the positives.
        negatives: `Pairs` of the samples with the negatives.
        bias_correction: bool, see above. Defaults to `False`.
    """
    near, here = (
        _means_near(log_kernels, p, bias_correction)
        for p in (positives, negatives)
    )
    return [a - b for a, b in zip(near, here, strict=True)]


def curl_free_field(
    log_kernels,
    log_gradient_weights,
    positives,
    negatives,
    bias_correction=False,
):
    """Difference of the scores of two kernel density estimates.

    `V(x) = sum_j K(x, y_j) b(x, y_j) (y_j - x) / sum_j K(x, y_j)  -  the same
    over negatives`. With `b = -K'(r) / (r K(r))` that is the gradient of
    `log sum_j K(x, y_j) - log sum_k K(x, z_k)`, so the field is curl-free. The
    contribution of no points is zero.

    Args:
        log_kernels: sequence of callables, see above: `log K`.
        log_gradient_weights: for each of them a callable from costs to
            `log b`.
        positives: `Pairs` of the samples with the positives.
        negatives: `Pairs` of the samples with the negatives.
        bias_correction: bool, see above. Defaults to `False`.
    """
    toward, away = (
        mean_shifts(
            pairs,
            log_kernels,
            log_gradient_weights,
            bias_correction=bias_correction,
        )
        for pairs in (positives, negatives)
    )
    return [
        attraction - repulsion
        for (attraction, *_), (repulsion, *_) in zip(toward, away, strict=True)
    ]


def dual_field(log_kernels, positives, negatives, bias_correction=False):
    """Doubly normalized field: Algorithm 2 of Deng et al., with weights.

    The affinity of sample i to point j is
    `A_ij = w_j k_ij / sqrt(sum_l w_l k_il * sum_i k_ij)`, the geometric mean of
    a softmax over points and one over samples. With `P` and `Q` its sums over
    the positives and negatives, `V = P Q (C+ - C-)`: the difference of the
    affinity-weighted means, scaled by the masses of both sides. It has the
    arguments of `row_field`.
    """
    if positives.is_whole and negatives.is_whole:
        return _dual_field_at_once(
            log_kernels, positives, negatives, bias_correction
        )
    toward = log_sum_exp(positives, log_kernels)
    away = log_sum_exp(negatives, log_kernels)
    # A sample is normalized over all points, each point over the samples that
    # interact with it.
    rows = [
        -0.5 * ops.logaddexp(one[0], other[0])
        for one, other in zip(toward, away, strict=True)
    ]
    sums = [
        _affine_sums(
            pairs,
            log_kernels,
            rows,
            [-0.5 * over for _, over in logs],
            bias_correction,
        )
        for pairs, logs in ((positives, toward), (negatives, away))
    ]
    return [
        repulsion[..., None] * near - attraction[..., None] * here
        for (near, attraction), (here, repulsion) in zip(*sums, strict=True)
    ]


def _affine_sums(pairs, log_kernels, rows, columns, bias_correction):
    """Sums of the points under their affinities, and of the affinities."""
    if not bias_correction:
        return weighted_sums(pairs, log_kernels, rows, columns)
    # Normalized weights need the sum of all affinities first; as means, both
    # are computed in one pass.
    means = mean_shifts(pairs, log_kernels, None, columns, bias_correction)
    sums = []
    for (shift, _, log_mass), row in zip(means, rows, strict=True):
        # Without any points, both are infinite.
        empty = log_mass == float("-inf")
        mass = ops.exp(ops.where(empty, 0.0, log_mass + row))
        mass = ops.where(empty, 0.0, mass)
        sums.append((mass[..., None] * (pairs.x + shift), mass))
    return sums


def _dual_field_at_once(log_kernels, positives, negatives, bias_correction):
    """The same with all pairs in one block, whose logarithms are reused."""
    blocks = positives.whole(), negatives.whole()
    if backend.dual_field is not None and not bias_correction:
        velocities = backend.dual_field(log_kernels, *blocks)
        if velocities is not None:
            return velocities
    found, turns = [], Turns(positives.x)
    for log_kernel in turns.of(log_kernels):
        affinities = geometric_softmax(blocks, log_kernel)
        masses = [ops.sum(each, axis=-1, keepdims=True) for each in affinities]
        if bias_correction:
            affinities = [
                _corrected(each, mass, block.weights)
                for each, mass, block in zip(
                    affinities, masses, blocks, strict=True
                )
            ]
        (attract, repel), (attraction, repulsion) = affinities, masses
        # A product for each side, so that equal sides cancel exactly.
        toward = repulsion * backend.matmul(attract, positives.points)
        away = attraction * backend.matmul(repel, negatives.points)
        field = toward - away
        turns.end(field)
        found.append(field)
    return found


def _corrected(affinities, mass, weights):
    """Affinities of the same sum, with a less biased mean."""
    shares = affinities / ops.where(mass > 0, mass, 1.0)
    own = shares
    if weights is not None:
        own = shares / ops.maximum(weights, 1.0)
    squares = ops.sum(shares * own, axis=-1, keepdims=True)
    return affinities * (1.0 + own - squares)


def dual_coefficients(log_kernels, block, num_negatives):
    """What the points are multiplied by in the fields of `dual_field`.

    Both sides are computed at once, so equal sides cancel up to rounding only.

    Args:
        log_kernels: sequence of callables, see above.
        block: `Block` of all pairs, with the negatives, then the positives.
        num_negatives: int, the number of negatives.

    Returns:
        For each log-kernel `(coefficients, masses)`: a tensor `(groups, n,
        points)`, and the sum of those of the positives, `(groups, n)`, which is
        minus the sum of those of the negatives.
    """
    indices = ops.arange(ops.shape(block.costs)[-1], dtype="int32")
    of_negatives = indices < num_negatives
    found, turns = [], Turns(block.costs)
    for log_kernel in turns.of(log_kernels):
        (affinities,) = geometric_softmax([block], log_kernel)
        repulsion, attraction = (
            ops.sum(side, axis=-1, keepdims=True)
            for side in (
                affinities[..., :num_negatives],
                affinities[..., num_negatives:],
            )
        )
        other = ops.where(of_negatives, -attraction, repulsion)
        coefficients = affinities * other
        turns.end(coefficients)
        found.append((coefficients, (repulsion * attraction)[..., 0]))
    return found


def unnormalized_field(log_kernels, positives, negatives):
    """Kernel-weighted mean displacement to positives, minus to negatives.

    `V(x) = mean_j k_j (y_j - x)  -  the same over negatives`: unlike
    `row_field`, it is not divided by the mass of the near points. It has the
    arguments of `row_field`, without a correction.
    """
    toward, away = (
        mean_displacements(pairs, log_kernels)
        for pairs in (positives, negatives)
    )
    return [there - here for there, here in zip(toward, away, strict=True)]


def ratio_field(log_weight, log_kernels, positives, negatives):
    """The row field times a function of the density ratio.

    `V(x) = w(u) (mean of near positives - mean of near negatives)`, for the
    ratio `u = mean_k k(x, z_k) / mean_j k(x, y_j)` of negatives to positives.

    Args:
        log_weight: callable from `log u`, finite, to `log w(u)`.
        log_kernels: sequence of callables, see above.
        positives: `Pairs` of the samples with the positives.
        negatives: `Pairs` of the samples with the negatives.
    """
    sides = [_near(log_kernels, pairs) for pairs in (positives, negatives)]
    return [
        ops.exp(log_weight(log_q - log_p))[..., None] * (toward - away)
        for (toward, log_p), (away, log_q) in zip(*sides, strict=True)
    ]


def _means_near(log_kernels, pairs, bias_correction):
    if not bias_correction:
        return [means for means, _ in _near(log_kernels, pairs)]
    shifts = mean_shifts(pairs, log_kernels, bias_correction=True)
    return [pairs.x + shift for shift, *_ in shifts]


def _near(log_kernels, pairs):
    """Kernel-weighted means at each sample, and the log-density there."""
    log_weights = ops.log(ops.maximum(pairs.weight_sums(), 1e-30))
    return [
        (
            ops.where(log_mass[..., None] == float("-inf"), pairs.x, means),
            # Finite, so that the ratio of two empty sums is a number.
            ops.maximum(log_mass, -1e30) - log_weights,
        )
        for means, log_mass in barycenters(pairs, log_kernels)
    ]
