"""Sums and log-sums over all pairs, for each sample or each point.

`log_kernels` are functions from the costs of a block of pairs to the logarithms
of the terms, of the same shape, such as `keras_drift.ops.LogKernel`. Very
negative values and minus infinity are fine. Several of them share the costs.
Every term is multiplied by the weight of its point.
"""

import functools

from keras import ops

from keras_drift import backend
from keras_drift.ops.running_sums import LOWEST
from keras_drift.ops.running_sums import absent_if_infinite
from keras_drift.ops.running_sums import add_over_samples
from keras_drift.ops.running_sums import add_to_sum
from keras_drift.ops.running_sums import empty_sum
from keras_drift.ops.running_sums import highest
from keras_drift.ops.running_sums import log_of_sum
from keras_drift.ops.running_sums import log_sum
from keras_drift.ops.running_sums import nothing
from keras_drift.ops.running_sums import zeros
from keras_drift.ops.turns import Turns


def mean_cost(*pairs):
    """Weighted mean of the costs: a scalar over all groups and all `pairs`."""
    total = mass = 0.0
    for each in pairs:
        totals, masses = cost_sums(each)
        total += ops.sum(totals)
        mass += ops.sum(masses)
    return total / ops.maximum(mass, 1e-30)


def cost_sums(pairs):
    """Weighted sums of the costs, and of the weights, for each sample.

    Args:
        pairs: `Pairs`.

    Returns:
        Two float32 tensors `(groups, n)`; `mean_cost` is the ratio of their
        sums.
    """
    (totals,), _ = pairs.fold(_add_costs, _zero, nothing)
    return totals[..., 0], pairs.weight_sums()


def mean_similarity(pairs, log_kernels):
    """Weighted mean of the kernels over all pairs: a scalar."""

    def function(rows, columns, block):
        (totals,) = rows
        for log_kernel in log_kernels:
            counted = block.count(ops.exp(log_kernel(block.costs)))
            totals = totals + ops.sum(counted, axis=-1, keepdims=True)
        return (totals,), columns

    (totals,), _ = pairs.fold(function, _zero, nothing)
    mass = len(log_kernels) * pairs.total_weight()
    return ops.sum(totals) / ops.maximum(mass, 1e-30)


def mean_over_points(pairs, function):
    """Weighted mean of `function(costs)` over the points of each sample.

    Args:
        pairs: `Pairs`.
        function: callable from costs to values of the same shape.

    Returns:
        `(groups, n)`, 0 for a mean over no points.
    """

    def add(rows, columns, block):
        totals, mass = rows
        values = function(block.costs)
        counted = block.count(values), block.count(ops.ones_like(values))
        counted = [ops.sum(each, axis=-1, keepdims=True) for each in counted]
        return (totals + counted[0], mass + counted[1]), columns

    def start(groups, size):
        return zeros(groups, size), zeros(groups, size)

    (totals, mass), _ = pairs.fold(add, start, nothing)
    return (totals / ops.maximum(mass, 1e-30))[..., 0]


def log_sum_exp(pairs, log_kernels):
    """Logarithms of the sums of `exp(log_kernel)`, in both directions.

    Args:
        pairs: `Pairs`.
        log_kernels: sequence of callables, see above.

    Returns:
        For each kernel `(over_points, over_samples)`, `(groups, n)` and
        `(groups, m)`: for each sample the weighted sum over the points, and for
        each point the sum over the samples. Minus infinity for an empty sum.
        Points of weight zero are masked (`ops.mask_absent`).
    """

    def start(groups, size):
        return tuple(empty_sum(groups, size) for _ in log_kernels)

    def function(rows, columns, block):
        rows, columns, turns = list(rows), list(columns), Turns(pairs.x)
        for k, log_kernel in enumerate(turns.of(log_kernels)):
            logits = log_kernel(block.costs)
            rows[k] = add_to_sum(rows[k], block.weigh(logits), axis=-1)
            columns[k] = add_over_samples(columns[k], block, logits)
            turns.end(columns[k][1])
        return tuple(rows), tuple(columns)

    states = pairs.fold(function, start, start)
    return [
        tuple(log_of_sum(*state)[..., 0] for state in of_kernel)
        for of_kernel in zip(*states, strict=True)
    ]


def log_sum_over_points(pairs, log_kernel, column_logs):
    """`log sum_j w_j exp(log_kernel_ij + column_logs_j)` for each sample.

    Args:
        pairs: `Pairs`.
        log_kernel: callable, see above.
        column_logs: float tensor `(groups, m)`; a point with an infinite one
            is absent.

    Returns:
        `(groups, n)`, minus infinity for an empty sum.
    """

    def function(rows, columns, block):
        logits = log_kernel(block.costs) + ops.swapaxes(
            block.columns[0], -1, -2
        )
        return add_to_sum(rows, block.weigh(logits), axis=-1), columns

    columns = (absent_if_infinite(column_logs),)
    rows, _ = pairs.fold(function, empty_sum, nothing, (), columns)
    return log_of_sum(*rows)[..., 0]


def log_sum_over_samples(pairs, log_kernel, row_logs):
    """`log sum_i exp(log_kernel_ij + row_logs_i)` per point, `(groups, m)`.

    The other direction of `log_sum_over_points`, for `row_logs` `(groups, n)`.
    """

    def function(rows, columns, block):
        logits = log_kernel(block.costs) + block.rows[0]
        return rows, add_over_samples(columns, block, logits)

    rows = (absent_if_infinite(row_logs),)
    _, columns = pairs.fold(function, nothing, empty_sum, rows)
    return log_of_sum(*columns)[..., 0]


def log_sums(pairs, log_kernel):
    """`log_sum_over_points` and `log_sum_over_samples`, for use in a loop.

    Args:
        pairs: `Pairs`.
        log_kernel: callable, see above.

    Returns:
        Two callables, of `column_logs` and of `row_logs`. If all pairs are one
        block, they share the log-kernels.
    """
    if not pairs.is_whole:
        return (
            functools.partial(log_sum_over_points, pairs, log_kernel),
            functools.partial(log_sum_over_samples, pairs, log_kernel),
        )
    block = pairs.whole()
    logits = log_kernel(block.costs)
    weighed, logits = block.weigh(logits), block.fill(logits, float("-inf"))

    def over_points(column_logs):
        columns = ops.swapaxes(absent_if_infinite(column_logs), -1, -2)
        return log_sum(weighed + columns, axis=-1)

    def over_samples(row_logs):
        return log_sum(logits + absent_if_infinite(row_logs), axis=-2)

    return over_points, over_samples


def geometric_softmax(blocks, log_kernel):
    """Geometric mean of a softmax over points and one over samples.

    Args:
        blocks: `Block`s, each of all pairs of the same samples with some
            points. A sample is normalized over the points of all blocks, a
            point over the samples.
        log_kernel: callable, see above.

    Returns:
        For each block a tensor `(groups, n, m)`, 0 where a pair is absent.
    """
    halves = []
    for block in blocks:
        half = block.fill(0.5 * log_kernel(block.costs), float("-inf"))
        if block.weights is not None:
            half = ops.where(block.weights > 0, half, float("-inf"))
        halves.append(half)
    top = functools.reduce(lambda top, v: highest(top, v, -1), halves, LOWEST)
    # The exponentials serve the sums as well.
    of_point = [backend.exp_of_difference(half, top) for half in halves]
    mass = sum(
        ops.sum(block.count(ops.square(each)), axis=-1, keepdims=True)
        for block, each in zip(blocks, of_point, strict=True)
    )
    # Zero if empty only. Compilers fuse the bound, unlike a `where`.
    scale = ops.rsqrt(ops.maximum(mass, 1e-30))
    return [
        each * scale * _roots_over_samples(half, block.weights)
        for block, half, each in zip(blocks, halves, of_point, strict=True)
    ]


def _roots_over_samples(halves, weights):
    """Square roots of a softmax over the samples, times the weights."""
    roots = backend.exp_of_difference(halves, highest(LOWEST, halves, -2))
    mass = ops.sum(ops.square(roots), axis=-2, keepdims=True)
    scale = ops.rsqrt(ops.maximum(mass, 1e-30))
    return roots * (scale if weights is None else weights * scale)


def _add_costs(rows, columns, block):
    (totals,) = rows
    counted = block.count(block.costs)
    return (totals + ops.sum(counted, axis=-1, keepdims=True),), columns


def _zero(groups, size):
    return (zeros(groups, size),)
