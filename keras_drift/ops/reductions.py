"""Sums over all pairs, sample by sample or point by point.

`scores` are functions from the costs of a block of pairs to the logarithms of
what is summed, of the same shape: far below zero and minus infinity are fine.
Several of them share the costs. The weights of the points count them.
"""

import functools

import keras
from keras import ops

from keras_drift import backend
from keras_drift.ops.distances import FEW_COORDINATES

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


def log_sums(pairs, score):
    """`log_sum_over_points` and `log_sum_over_samples`, for use in a loop.

    Args:
        pairs: `Pairs`.
        score: callable, see above.

    Returns:
        Two callables, of `column_logs` and of `row_logs`. If all pairs are one
        block, they share the scores.
    """
    if not pairs.is_whole:
        return (
            functools.partial(log_sum_over_points, pairs, score),
            functools.partial(log_sum_over_samples, pairs, score),
        )
    block = pairs.whole()
    logits = score(block.costs)
    weighed, logits = block.weigh(logits), block.fill(logits, float("-inf"))

    def over_points(column_logs):
        columns = ops.swapaxes(_absent_if_infinite(column_logs), -1, -2)
        return _log_sum(weighed + columns, axis=-1)

    def over_samples(row_logs):
        return _log_sum(logits + _absent_if_infinite(row_logs), axis=-2)

    return over_points, over_samples


def barycentres(pairs, scores, column_logs=None):
    """Means of the points under the weights `exp(score)`, sample by sample.

    Args:
        pairs: `Pairs`.
        scores: sequence of callables, see above.
        column_logs: for each score a float tensor `(groups, m)` to be added to
            it; a point with an infinite one is absent. Defaults to `None`:
            zeros.

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
        for k, (top, mass, sums) in enumerate(rows):
            logits = scores[k](block.costs)
            if block.columns:
                logits = logits + ops.swapaxes(block.columns[k], -1, -2)
            logits = block.weigh(logits)
            new_top = _top(top, logits, -1)
            weights = ops.exp(logits - new_top)
            shrink = ops.exp(top - new_top)
            mass = mass * shrink + ops.sum(weights, axis=-1, keepdims=True)
            sums = sums * shrink + backend.matmul(weights, block.points)
            new_rows.append((new_top, mass, sums))
        return tuple(new_rows), columns

    columns = tuple(map(_absent_if_infinite, column_logs or ()))
    rows, _ = pairs.fold(function, start, _nothing, (), columns)
    return [
        (sums / ops.where(mass > 0, mass, 1.0), _log(top, mass)[..., 0])
        for top, mass, sums in rows
    ]


def mean_pulls(
    pairs, scores, pulls=None, column_logs=None, bias_correction=False
):
    """Means of `exp(pull) * (point - sample)` and of `exp(pull)`.

    A mean under the weights `exp(score + column_log)` is a ratio of two sums
    over the same few points, which biases it by `-sum_j a_j^2 (u_j - mean)` to
    leading order, `a_j` the share of a point and `u_j` its value
    ([Zhang et al., 2026](https://arxiv.org/abs/2604.27239)). The correction
    adds that back: the weights `a_j (1 + a_j - sum_l a_l^2)` are as positive as
    the shares and add up to 1 as they do.

    A weight `c` above 1 counts copies, each with its own share: `a_j^2 / c`. A
    weight below 1 makes one point count less.

    Args:
        pairs: `Pairs`.
        scores: sequence of callables, see above.
        pulls: for each score a callable from costs to logarithms. Defaults to
            `None`: zeros.
        column_logs: for each score a float tensor `(groups, m)`; a point with
            an infinite one is absent. Defaults to `None`: zeros.
        bias_correction: bool, whether to correct the bias of few points.
            Defaults to `False`.

    Returns:
        For each score `(steps, pull, log_mass)`, `(groups, n, d)`,
        `(groups, n, 1)` and `(groups, n)`. Means of nothing are 0, with a
        log-mass of minus infinity.
    """
    dim = pairs.x.shape[-1]
    num_orders = 2 if bias_correction else 1

    def start(groups, size):
        top, zeros = _empty_sum(groups, size)
        sums = (zeros, zeros, _zeros(groups, size, dim))
        return tuple((top, (sums,) * num_orders) for _ in scores)

    def function(rows, columns, block):
        new_rows = []
        for k, (top, orders) in enumerate(rows):
            logits = scores[k](block.costs)
            if column_logs is not None:
                logits = logits + ops.swapaxes(block.columns[k], -1, -2)
            logits = block.weigh(logits)
            new_top = _top(top, logits, -1)
            shrink = ops.exp(top - new_top)
            weights = ops.exp(logits - new_top)
            powers = (weights, _squared_shares(weights, block))
            pull = None if pulls is None else ops.exp(pulls[k](block.costs))
            orders = tuple(
                _add_pulls(sums, factor, power, pull, block)
                for sums, factor, power in zip(
                    orders, (shrink, shrink * shrink), powers, strict=False
                )
            )
            new_rows.append((new_top, orders))
        return tuple(new_rows), columns

    columns = tuple(_absent_if_infinite(logs) for logs in column_logs or ())
    rows, _ = pairs.fold(function, start, _nothing, (pairs.x,), columns)
    return [
        (*_means(*orders), _log(top, orders[0][0])[..., 0])
        for top, orders in rows
    ]


def _squared_shares(weights, block):
    squares = weights * weights
    if block.weights is None:
        return squares
    return squares / ops.maximum(block.weights, 1.0)


def _add_pulls(sums, shrink, weights, pull, block):
    mass, pulled_mass, pulled = sums
    pulling = weights if pull is None else weights * pull
    return (
        mass * shrink + ops.sum(weights, axis=-1, keepdims=True),
        pulled_mass * shrink + ops.sum(pulling, axis=-1, keepdims=True),
        pulled * shrink + _pulls(pulling, block, block.rows[0]),
    )


def _means(first, second=None):
    """Of the steps and of the pull; of nothing, zeros."""
    mass, *sums = first
    mass = ops.where(mass > 0, mass, 1.0)
    pull, steps = (each / mass for each in sums)
    if second is None:
        return steps, pull
    squares, pull_2, steps_2 = (each / (mass * mass) for each in second)
    return (
        steps + (steps_2 - squares * steps),
        pull + (pull_2 - squares * pull),
    )


def mean_displacements(pairs, scores):
    """Means of `exp(score) * (point - sample)`, sample by sample.

    Unlike `barycentres`, they are not divided by the sum of the exponentials:
    what is far away from all points is hardly pulled.

    Args:
        pairs: `Pairs`.
        scores: sequence of callables, see above. Their exponentials must stay
            finite.

    Returns:
        For each score a tensor `(groups, n, d)`, 0 for a mean of nothing.
    """
    dim = pairs.x.shape[-1]

    def start(groups, size):
        return tuple(_zeros(groups, size, dim) for _ in scores)

    def function(rows, columns, block):
        (x,) = block.rows
        return tuple(
            sums + _pulls(block.count(ops.exp(score(block.costs))), block, x)
            for score, sums in zip(scores, rows, strict=True)
        ), columns

    rows, _ = pairs.fold(function, start, _nothing, (pairs.x,))
    mass = pairs.weight_sums()[..., None]
    return [sums / ops.where(mass > 0, mass, 1.0) for sums in rows]


def _pulls(weights, block, x):
    """`sum_j weights_ij (point_j - x_i)`."""
    if x.shape[-1] > FEW_COORDINATES:
        mass = ops.sum(weights, axis=-1, keepdims=True)
        return backend.matmul(weights, block.points) - mass * x
    # Near points pull strongly: no digit of their difference may be lost.
    differences = (
        block.points[:, None, :, i] - x[:, :, None, i]
        for i in range(x.shape[-1])
    )
    return ops.stack(
        [ops.sum(weights * each, axis=-1) for each in differences], axis=-1
    )


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


def _log_sum(logits, axis):
    top = _top(_LOWEST, logits, axis)
    mass = ops.sum(ops.exp(logits - top), axis=axis, keepdims=True)
    return ops.squeeze(_log(top, mass), axis)


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
