"""Shares of the positives in the kernel mass around each sample."""

from keras import ops

from keras_drift.ops.running_sums import empty_sum
from keras_drift.ops.running_sums import highest
from keras_drift.ops.running_sums import log_of_sum
from keras_drift.ops.running_sums import nothing
from keras_drift.ops.running_sums import relative_to
from keras_drift.ops.running_sums import zeros
from keras_drift.ops.turns import Turns

# Acts as minus infinity in differences, without a NaN.
_LOWEST = -1e30


def positive_shares(positives, negatives, log_kernels, log_gradient_weights):
    """Log-shares of the positives in the kernel mass around each sample.

    `log(P / (P + Q))` for `P = sum_j w_j k(r_ij / bandwidth)` over the
    positives and `Q`, the same over the negatives: the log-probability that a
    point drawn by a softmax over both is a positive.

    Args:
        positives: `Pairs` of the samples with the positives.
        negatives: `Pairs` of the samples with the negatives.
        log_kernels: sequence of `LogKernel`: `log k`.
        log_gradient_weights: for each of them the `LogKernel` of
            `log(-k'(r) / (r k(r)))`.

    Returns:
        For each kernel `(log_share, slope)`, both `(groups, n)`; the slope is
        the derivative with respect to the logarithm of the bandwidth.
    """
    sides = [
        _masses(pairs, log_kernels, log_gradient_weights)
        for pairs in (positives, negatives)
    ]
    shares = []
    for (log_p, slope_p), (log_q, slope_q) in zip(*sides, strict=True):
        log_odds = ops.maximum(log_p, _LOWEST) - ops.maximum(log_q, _LOWEST)
        slope = ops.sigmoid(-log_odds) * (slope_p - slope_q)
        shares.append((ops.log_sigmoid(log_odds), slope))
    return shares


def _masses(pairs, log_kernels, log_gradient_weights):
    """For each kernel the log of its sum, and the derivative of that."""

    def start(groups, size):
        return tuple(
            (*empty_sum(groups, size), zeros(groups, size)) for _ in log_kernels
        )

    def function(rows, columns, block):
        new_rows, turns = [], Turns(pairs.x)
        for k, log_kernel in enumerate(turns.of(log_kernels)):
            top, mass, slope = rows[k]
            logits = block.weigh(log_kernel(block.costs))
            new_top = highest(top, logits, -1)
            weights = relative_to(new_top, logits)
            shrink = ops.exp(top - new_top)
            # `d log k / d log bandwidth = -r k'(r) / k(r)`.
            radius = block.costs * log_gradient_weights[k].rate
            slopes = ops.square(radius) * ops.exp(
                log_gradient_weights[k](block.costs)
            )
            slopes = ops.sum(weights * slopes, axis=-1, keepdims=True)
            mass = mass * shrink + ops.sum(weights, axis=-1, keepdims=True)
            slope = slope * shrink + slopes
            turns.end(slope)
            new_rows.append((new_top, mass, slope))
        return tuple(new_rows), columns

    rows, _ = pairs.fold(function, start, nothing)
    return [
        (
            log_of_sum(top, mass)[..., 0],
            (slope / ops.where(mass > 0, mass, 1.0))[..., 0],
        )
        for top, mass, slope in rows
    ]
