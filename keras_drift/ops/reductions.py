"""Sums over all pairs, sample by sample or point by point.

`scores` are functions from the costs of a block of pairs to the logarithms of
what is summed, of the same shape: far below zero and minus infinity are fine.
Several of them share the costs. The weights of the points count them.
"""

import functools

import keras
from keras import ops

from keras_drift import backend

# Takes part in `maximum` and `exp` as minus infinity would, without a NaN.
_LOWEST = -1e38


def mean_cost(*pairs):
    """Weighted mean of the costs: a scalar over all groups and all `pairs`."""
    total = mass = 0.0
    for each in pairs:
        (totals,), _ = each.fold(_add_costs, _zero, _nothing)
        total += ops.sum(totals)
        mass += each.total_weight()
    return total / ops.maximum(mass, 1e-30)


def mean_similarity(pairs, scores):
    """Weighted mean of `exp(score)` over all pairs and scores: a scalar."""

    def function(rows, columns, block):
        (totals,) = rows
        for score in scores:
            counted = block.count(ops.exp(score(block.costs)))
            totals = totals + ops.sum(counted, axis=-1, keepdims=True)
        return (totals,), columns

    (totals,), _ = pairs.fold(function, _zero, _nothing)
    mass = len(scores) * pairs.total_weight()
    return ops.sum(totals) / ops.maximum(mass, 1e-30)


def mean_over_points(pairs, function):
    """Weighted mean of `function(costs)` over the points, sample by sample.

    Args:
        pairs: `Pairs`.
        function: callable from costs to what is averaged, of the same shape.

    Returns:
        `(groups, n)`, 0 for a mean of nothing.
    """

    def add(rows, columns, block):
        totals, mass = rows
        values = function(block.costs)
        counted = block.count(values), block.count(ops.ones_like(values))
        counted = [ops.sum(each, axis=-1, keepdims=True) for each in counted]
        return (totals + counted[0], mass + counted[1]), columns

    def start(groups, size):
        return _zeros(groups, size), _zeros(groups, size)

    (totals, mass), _ = pairs.fold(add, start, _nothing)
    return (totals / ops.maximum(mass, 1e-30))[..., 0]


def log_sum_exp(pairs, scores):
    """Logarithms of the sums of `exp(score)`, in both directions.

    Args:
        pairs: `Pairs`.
        scores: sequence of callables, see above.

    Returns:
        For each score `(over_points, over_samples)`, `(groups, n)` and
        `(groups, m)`: for each sample the weighted sum over the points, and for
        each point the sum over the samples. Minus infinity for a sum of
        nothing.
    """

    def start(groups, size):
        return tuple(_empty_sum(groups, size) for _ in scores)

    def function(rows, columns, block):
        rows, columns = list(rows), list(columns)
        for k, score in enumerate(scores):
            logits = score(block.costs)
            rows[k] = _add_to_sum(rows[k], block.weigh(logits), axis=-1)
            columns[k] = _add_over_samples(columns[k], block, logits)
        return tuple(rows), tuple(columns)

    states = pairs.fold(function, start, start)
    return [
        tuple(_log(*state)[..., 0] for state in of_score)
        for of_score in zip(*states, strict=True)
    ]


def log_sum_over_points(pairs, score, column_logs):
    """`log sum_j w_j exp(score_ij + column_logs_j)`, sample by sample.

    Args:
        pairs: `Pairs`.
        score: callable, see above.
        column_logs: float tensor `(groups, m)`; a point with an infinite one
            is absent.

    Returns:
        `(groups, n)`, minus infinity for a sum of nothing.
    """

    def function(rows, columns, block):
        logits = score(block.costs) + ops.swapaxes(block.columns[0], -1, -2)
        return _add_to_sum(rows, block.weigh(logits), axis=-1), columns

    columns = (_absent_if_infinite(column_logs),)
    rows, _ = pairs.fold(function, _empty_sum, _nothing, (), columns)
    return _log(*rows)[..., 0]


def log_sum_over_samples(pairs, score, row_logs):
    """`log sum_i exp(score_ij + row_logs_i)`, point by point: `(groups, m)`.

    The other direction of `log_sum_over_points`, for `row_logs` `(groups, n)`.
    """

    def function(rows, columns, block):
        logits = score(block.costs) + block.rows[0]
        return rows, _add_over_samples(columns, block, logits)

    rows = (_absent_if_infinite(row_logs),)
    _, columns = pairs.fold(function, _nothing, _empty_sum, rows)
    return _log(*columns)[..., 0]


def barycentres(pairs, scores):
    """Means of the points under the weights `exp(score)`, sample by sample.

    Args:
        pairs: `Pairs`.
        scores: sequence of callables, see above.

    Returns:
        For each score `(means, log_mass)`, `(groups, n, d)` and `(groups, n)`.
        A mean of nothing is 0, with a log-mass of minus infinity.
    """
    dim = pairs.x.shape[-1]

    def start(groups, size):
        zeros = _zeros(groups, size, dim)
        return tuple((*_empty_sum(groups, size), zeros) for _ in scores)

    def function(rows, columns, block):
        new_rows = []
        for score, (top, mass, sums) in zip(scores, rows, strict=True):
            logits = block.weigh(score(block.costs))
            new_top = _top(top, logits, -1)
            weights = ops.exp(logits - new_top)
            shrink = ops.exp(top - new_top)
            mass = mass * shrink + ops.sum(weights, axis=-1, keepdims=True)
            sums = sums * shrink + backend.matmul(weights, block.points)
            new_rows.append((new_top, mass, sums))
        return tuple(new_rows), columns

    rows, _ = pairs.fold(function, start, _nothing)
    return [
        (sums / ops.where(mass > 0, mass, 1.0), _log(top, mass)[..., 0])
        for top, mass, sums in rows
    ]


def weighted_sums(pairs, scores, row_logs, column_logs):
    """Sums of the points under `exp(score + row_log + column_log)`.

    Take it where the logarithms are normalised already, as those of a transport
    plan: where their sum exceeds 80, its exponential is infinite.

    Args:
        pairs: `Pairs`.
        scores: sequence of callables, see above.
        row_logs: for each score a float tensor `(groups, n)`.
        column_logs: for each score a float tensor `(groups, m)`. Where one is
            infinite, from a sum of nothing, no weight is left.

    Returns:
        For each score `(sums, mass)`, `(groups, n, d)` and `(groups, n)`.
    """
    dim = pairs.x.shape[-1]

    def start(groups, size):
        return tuple(
            (_zeros(groups, size, dim), _zeros(groups, size)) for _ in scores
        )

    def function(rows, columns, block):
        new_rows = []
        for score, (sums, mass), row_log, column_log in zip(
            scores, rows, block.rows, block.columns, strict=True
        ):
            logits = score(block.costs) + row_log
            logits = logits + ops.swapaxes(column_log, -1, -2)
            # Weighed in logarithms: an absent pair may exceed any bound.
            weights = ops.exp(block.weigh(logits))
            sums = sums + backend.matmul(weights, block.points)
            mass = mass + ops.sum(weights, axis=-1, keepdims=True)
            new_rows.append((sums, mass))
        return tuple(new_rows), columns

    rows, _ = pairs.fold(
        function,
        start,
        _nothing,
        tuple(_absent_if_infinite(logs) for logs in row_logs),
        tuple(_absent_if_infinite(logs) for logs in column_logs),
    )
    return [(sums, mass[..., 0]) for sums, mass in rows]


def geometric_softmax(blocks, score):
    """Geometric mean of a softmax over points and one over samples.

    Args:
        blocks: `Block`s, each of all pairs of the same samples with some
            points. A sample is normalised over the points of all blocks, a
            point over the samples.
        score: callable, see above.

    Returns:
        For each block a tensor `(groups, n, m)`, 0 where a pair is absent.
    """
    logits = [score(block.costs) for block in blocks]
    weighed = [
        block.weigh(each) for block, each in zip(blocks, logits, strict=True)
    ]
    over_points = 0.5 * _finite_log_sum(weighed, -1)
    over_samples = [
        0.5 * _finite_log_sum([block.fill(each, float("-inf"))], -2)
        for block, each in zip(blocks, logits, strict=True)
    ]
    return [
        ops.exp(each - over_points - of_point)
        for each, of_point in zip(weighed, over_samples, strict=True)
    ]


def _finite_log_sum(sets, axis):
    """Over an axis of all tensors in `sets`; about -1e38 for nothing."""
    top = functools.reduce(lambda top, v: _top(top, v, axis), sets, _LOWEST)
    mass = sum(
        ops.sum(ops.exp(logits - top), axis=axis, keepdims=True)
        for logits in sets
    )
    # At least 1, but for nothing. Compilers fuse it, unlike a `where`.
    return top + ops.log(ops.maximum(mass, 1e-30))


def _add_costs(rows, columns, block):
    (totals,) = rows
    counted = block.count(block.costs)
    return (totals + ops.sum(counted, axis=-1, keepdims=True),), columns


def _add_to_sum(state, logits, axis):
    top, mass = state
    new_top = _top(top, logits, axis)
    added = ops.sum(ops.exp(logits - new_top), axis=axis, keepdims=True)
    return new_top, mass * ops.exp(top - new_top) + added


def _add_over_samples(state, block, logits):
    logits = block.fill(logits, float("-inf"))
    return _turned(_add_to_sum(_turned(state), logits, axis=-2))


def _top(top, logits, axis):
    # It cancels: it needs no gradient, and none flows through a tie.
    highest = ops.max(logits, axis=axis, keepdims=True)
    return ops.stop_gradient(ops.maximum(top, highest))


def _log(top, mass):
    empty = mass == 0
    logs = top + ops.log(ops.where(empty, 1.0, mass))
    return ops.where(empty, float("-inf"), logs)


def _absent_if_infinite(logs):
    """One axis more, and minus infinity for both infinities."""
    return ops.where(ops.isinf(logs), float("-inf"), logs)[..., None]


def _turned(state):
    return keras.tree.map_structure(lambda v: ops.swapaxes(v, -1, -2), state)


def _empty_sum(groups, size):
    zeros = _zeros(groups, size)
    return zeros + _LOWEST, zeros


def _zeros(groups, size, dim=1):
    # In float32 whatever the default of Keras is.
    return ops.zeros((groups, size, dim), "float32")


def _zero(groups, size):
    return (_zeros(groups, size),)


def _nothing(groups, size):
    del groups, size
    return ()
