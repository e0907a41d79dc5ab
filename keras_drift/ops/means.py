"""Weighted sums and means of the points, sample by sample.

`log_kernels` are those of `keras_drift.ops.reductions`.
"""

from keras import ops

from keras_drift import backend
from keras_drift.ops.distances import FEW_COORDINATES
from keras_drift.ops.running_sums import absent_if_infinite
from keras_drift.ops.running_sums import empty_sum
from keras_drift.ops.running_sums import highest
from keras_drift.ops.running_sums import log_of_sum
from keras_drift.ops.running_sums import nothing
from keras_drift.ops.running_sums import zeros

# A product with ones adds one number after the other: of more, a sum loses
# fewer digits.
_WIDEST_PRODUCT = 4096


def barycenters(pairs, log_kernels, column_logs=None):
    """Kernel-weighted means of the points, for each sample.

    Args:
        pairs: `Pairs`.
        log_kernels: sequence of callables, see above.
        column_logs: for each score a float tensor `(groups, m)` to be added to
            it; a point with an infinite one is absent. Defaults to `None`:
            zeros.

    Returns:
        For each score `(means, log_mass)`, `(groups, n, d)` and `(groups, n)`.
        A mean of nothing is 0, with a log-mass of minus infinity.
    """
    dim = pairs.x.shape[-1]

    def start(groups, size):
        sums = zeros(groups, size, dim)
        return tuple((*empty_sum(groups, size), sums) for _ in log_kernels)

    def function(rows, columns, block):
        new_rows = []
        for k, (top, mass, sums) in enumerate(rows):
            logits = log_kernels[k](block.costs)
            if block.columns:
                logits = logits + ops.swapaxes(block.columns[k], -1, -2)
            logits = block.weigh(logits)
            new_top = highest(top, logits, -1)
            weights = backend.exp_of_difference(logits, new_top)
            shrink = ops.exp(top - new_top)
            mass = mass * shrink + ops.sum(weights, axis=-1, keepdims=True)
            sums = sums * shrink + backend.matmul(weights, block.points)
            new_rows.append((new_top, mass, sums))
        return tuple(new_rows), columns

    columns = tuple(map(absent_if_infinite, column_logs or ()))
    rows, _ = pairs.fold(function, start, nothing, (), columns)
    return [
        (sums / ops.where(mass > 0, mass, 1.0), log_of_sum(top, mass)[..., 0])
        for top, mass, sums in rows
    ]


def mean_shifts(
    pairs, log_kernels, pulls=None, column_logs=None, bias_correction=False
):
    """Means of `exp(pull) * (point - sample)` and of `exp(pull)`.

    A mean under the weights `exp(log_kernel + column_log)` is a ratio of two
    sums over the same few points, which biases it by
    `-sum_j a_j^2 (u_j - mean)` to leading order, for the share `a_j` of a point
    and its value `u_j`
    ([Zhang et al., 2026](https://arxiv.org/abs/2604.27239)). The correction
    adds that back: the weights `a_j (1 + a_j - sum_l a_l^2)` are as positive as
    the shares and add up to 1 as they do.

    A weight `c` above 1 counts copies, each with its own share: `a_j^2 / c`. A
    weight below 1 makes one point count less.

    Args:
        pairs: `Pairs`.
        log_kernels: sequence of callables, see above.
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
        top, mass = empty_sum(groups, size)
        sums = (mass, mass, zeros(groups, size, dim))
        return tuple((top, (sums,) * num_orders) for _ in log_kernels)

    def function(rows, columns, block):
        new_rows = []
        for k, (top, orders) in enumerate(rows):
            logits = log_kernels[k](block.costs)
            if column_logs is not None:
                logits = logits + ops.swapaxes(block.columns[k], -1, -2)
            logits = block.weigh(logits)
            new_top = highest(top, logits, -1)
            shrink = ops.exp(top - new_top)
            weights = backend.exp_of_difference(logits, new_top)
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

    columns = tuple(absent_if_infinite(logs) for logs in column_logs or ())
    rows, _ = pairs.fold(function, start, nothing, (pairs.x,), columns)
    return [
        (*_means(*orders), log_of_sum(top, orders[0][0])[..., 0])
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


def mean_displacements(pairs, log_kernels):
    """Means of `exp(log_kernel) * (point - sample)`, sample by sample.

    Unlike `barycenters`, they are not divided by the sum of the exponentials:
    what is far away from all points is hardly pulled.

    Args:
        pairs: `Pairs`.
        log_kernels: sequence of callables, see above. Their exponentials must
            stay finite.

    Returns:
        For each score a tensor `(groups, n, d)`, 0 for a mean of nothing.
    """
    dim = pairs.x.shape[-1]

    def start(groups, size):
        return tuple(zeros(groups, size, dim) for _ in log_kernels)

    def function(rows, columns, block):
        (x,) = block.rows
        return tuple(
            sums
            + _pulls(block.count(ops.exp(log_kernel(block.costs))), block, x)
            for log_kernel, sums in zip(log_kernels, rows, strict=True)
        ), columns

    rows, _ = pairs.fold(function, start, nothing, (pairs.x,))
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
    return ops.concatenate(
        [_row_sums(weights * each) for each in differences], axis=-1
    )


def _row_sums(values):
    """Sums over the last axis, which is kept."""
    width = values.shape[-1]
    if backend.has_accelerator() or width is None or width > _WIDEST_PRODUCT:
        return ops.sum(values, axis=-1, keepdims=True)
    # On CPUs compilers do a product in vectors, with what made the values.
    ones = ops.ones_like(values[..., :1, :])
    return backend.matmul(values, ops.swapaxes(ones, -1, -2))


def weighted_sums(pairs, log_kernels, row_logs, column_logs):
    """Sums of the points under `exp(log_kernel + row_log + column_log)`.

    Take it where the logarithms are normalized already, as those of a transport
    plan: where their sum exceeds 80, its exponential is infinite.

    Args:
        pairs: `Pairs`.
        log_kernels: sequence of callables, see above.
        row_logs: for each score a float tensor `(groups, n)`.
        column_logs: for each score a float tensor `(groups, m)`. Where one is
            infinite, from a sum of nothing, no weight is left.

    Returns:
        For each score `(sums, mass)`, `(groups, n, d)` and `(groups, n)`.
    """
    dim = pairs.x.shape[-1]

    def start(groups, size):
        return tuple(
            (zeros(groups, size, dim), zeros(groups, size)) for _ in log_kernels
        )

    def function(rows, columns, block):
        new_rows = []
        for log_kernel, (sums, mass), row_log, column_log in zip(
            log_kernels, rows, block.rows, block.columns, strict=True
        ):
            logits = log_kernel(block.costs) + row_log
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
        nothing,
        tuple(absent_if_infinite(logs) for logs in row_logs),
        tuple(absent_if_infinite(logs) for logs in column_logs),
    )
    return [(sums, mass[..., 0]) for sums, mass in rows]
