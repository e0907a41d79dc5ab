"""Weighted sums, means and mean shifts of the points for each sample.

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
from keras_drift.ops.running_sums import relative_to
from keras_drift.ops.running_sums import zeros
from keras_drift.ops.turns import Turns

# A product with ones accumulates sequentially: for more terms, a sum loses
# fewer digits.
_WIDEST_PRODUCT = 4096


def barycenters(pairs, log_kernels, column_logs=None):
    """Kernel-weighted means of the points, for each sample.

    Args:
        pairs: `Pairs`.
        log_kernels: sequence of callables, see above.
        column_logs: for each kernel a float tensor `(groups, m)` to be added to
            it; a point with an infinite one is absent. Defaults to `None`:
            zeros.

    Returns:
        For each kernel `(means, log_mass)`, `(groups, n, d)` and `(groups, n)`.
        A mean over no points is 0, with a log-mass of minus infinity.
    """
    dim = pairs.x.shape[-1]

    def start(groups, size):
        sums = zeros(groups, size, dim)
        return tuple((*empty_sum(groups, size), sums) for _ in log_kernels)

    def function(rows, columns, block):
        new_rows, turns = [], Turns(pairs.x)
        for k, log_kernel in enumerate(turns.of(log_kernels)):
            top, mass, sums = rows[k]
            logits = log_kernel(block.costs)
            if block.columns:
                logits = logits + ops.swapaxes(block.columns[k], -1, -2)
            logits = block.weigh(logits)
            new_top = highest(top, logits, -1)
            weights = relative_to(new_top, logits)
            shrink = ops.exp(top - new_top)
            mass = mass * shrink + ops.sum(weights, axis=-1, keepdims=True)
            sums = sums * shrink + backend.matmul(weights, block.points)
            turns.end(sums)
            new_rows.append((new_top, mass, sums))
        return tuple(new_rows), columns

    columns = tuple(map(absent_if_infinite, column_logs or ()))
    rows, _ = pairs.fold(function, start, nothing, (), columns)
    return [
        (sums / ops.where(mass > 0, mass, 1.0), log_of_sum(top, mass)[..., 0])
        for top, mass, sums in rows
    ]


def mean_shifts(
    pairs,
    log_kernels,
    log_gradient_weights=None,
    column_logs=None,
    bias_correction=False,
):
    """Kernel-weighted mean shifts, with the gradient weights of a score.

    The mean of `b (point - sample)` and that of the gradient weight `b`, under
    weights proportional to `exp(log_kernel + column_log)`.

    Such a mean is a ratio of two sums over the same few points, which biases it
    by `-sum_j a_j^2 (u_j - mean)` to leading order, for the normalized weight
    `a_j` of a point and its value `u_j`
    ([Zhang et al., 2026](https://arxiv.org/abs/2604.27239)). The correction
    adds that back: the weights `a_j (1 + a_j - sum_l a_l^2)` are positive and
    sum to 1 as well.

    A weight `c` above 1 counts copies, each with its own share: `a_j^2 / c`. A
    weight below 1 reduces the mass of a single point.

    Args:
        pairs: `Pairs`.
        log_kernels: sequence of callables, see above.
        log_gradient_weights: for each kernel a callable from costs to `log b`.
            Defaults to `None`: zeros.
        column_logs: for each kernel a float tensor `(groups, m)`; a point with
            an infinite one is absent. Defaults to `None`: zeros.
        bias_correction: bool, whether to correct the bias of few points.
            Defaults to `False`.

    Returns:
        For each kernel `(shift, gradient_weight, log_mass)`, `(groups, n, d)`,
        `(groups, n, 1)` and `(groups, n)`. Means over no points are 0, with a
        log-mass of minus infinity.
    """
    dim = pairs.x.shape[-1]
    num_orders = 2 if bias_correction else 1

    def start(groups, size):
        top, mass = empty_sum(groups, size)
        sums = (mass, mass, zeros(groups, size, dim))
        return tuple((top, (sums,) * num_orders) for _ in log_kernels)

    def function(rows, columns, block):
        new_rows, turns = [], Turns(pairs.x)
        for k, log_kernel in enumerate(turns.of(log_kernels)):
            top, orders = rows[k]
            logits = log_kernel(block.costs)
            if column_logs is not None:
                logits = logits + ops.swapaxes(block.columns[k], -1, -2)
            logits = block.weigh(logits)
            new_top = highest(top, logits, -1)
            shrink = ops.exp(top - new_top)
            weights = relative_to(new_top, logits)
            powers = (weights, _squared_shares(weights, block))
            gradient_weight = None
            if log_gradient_weights is not None:
                gradient_weight = ops.exp(log_gradient_weights[k](block.costs))
            orders = tuple(
                _add_shifts(sums, factor, power, gradient_weight, block)
                for sums, factor, power in zip(
                    orders, (shrink, shrink * shrink), powers, strict=False
                )
            )
            turns.end(orders[-1][-1])
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


def _add_shifts(sums, shrink, weights, gradient_weight, block):
    mass, gradient_mass, shifts = sums
    products = weights if gradient_weight is None else weights * gradient_weight
    added = _weighted_displacements(products, block, block.rows[0])
    return (
        mass * shrink + ops.sum(weights, axis=-1, keepdims=True),
        gradient_mass * shrink + ops.sum(products, axis=-1, keepdims=True),
        shifts * shrink + added,
    )


def _means(first, second=None):
    """Means of the shifts and of the gradient weights; 0 over no points."""
    mass, *sums = first
    mass = ops.where(mass > 0, mass, 1.0)
    weight, shift = (each / mass for each in sums)
    if second is None:
        return shift, weight
    squares, weight_2, shift_2 = (each / (mass * mass) for each in second)
    return (
        shift + (shift_2 - squares * shift),
        weight + (weight_2 - squares * weight),
    )


def mean_displacements(pairs, log_kernels):
    """Means of `exp(log_kernel) * (point - sample)` for each sample.

    Unlike `barycenters`, they are not divided by the sum of the exponentials:
    they vanish far away from all points.

    Args:
        pairs: `Pairs`.
        log_kernels: sequence of callables, see above. Their exponentials must
            stay finite.

    Returns:
        For each kernel a tensor `(groups, n, d)`, 0 for a mean over no points.
    """
    dim = pairs.x.shape[-1]

    def start(groups, size):
        return tuple(zeros(groups, size, dim) for _ in log_kernels)

    def function(rows, columns, block):
        (x,) = block.rows
        new_rows, turns = [], Turns(pairs.x)
        for log_kernel, sums in zip(turns.of(log_kernels), rows, strict=True):
            weights = block.count(ops.exp(log_kernel(block.costs)))
            sums = sums + _weighted_displacements(weights, block, x)
            turns.end(sums)
            new_rows.append(sums)
        return tuple(new_rows), columns

    rows, _ = pairs.fold(function, start, nothing, (pairs.x,))
    mass = pairs.weight_sums()[..., None]
    return [sums / ops.where(mass > 0, mass, 1.0) for sums in rows]


def _weighted_displacements(weights, block, x):
    """`sum_j weights_ij (point_j - x_i)`."""
    if x.shape[-1] > FEW_COORDINATES:
        mass = ops.sum(weights, axis=-1, keepdims=True)
        return backend.matmul(weights, block.points) - mass * x
    # Near points may have large weights: no digit of a difference may be lost.
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
    # On CPUs compilers vectorize a product together with its operands.
    ones = ops.ones_like(values[..., :1, :])
    return backend.matmul(values, ops.swapaxes(ones, -1, -2))


def weighted_sums(pairs, log_kernels, row_logs, column_logs):
    """Sums of the points under `exp(log_kernel + row_log + column_log)`.

    For logarithms that are normalized already, such as those of a transport
    plan: if their sum exceeds 80, its exponential overflows.

    Args:
        pairs: `Pairs`.
        log_kernels: sequence of callables, see above.
        row_logs: for each kernel a float tensor `(groups, n)`.
        column_logs: for each kernel a float tensor `(groups, m)`. Where one is
            infinite, from an empty sum, the weight is zero.

    Returns:
        For each kernel `(sums, mass)`, `(groups, n, d)` and `(groups, n)`.
    """
    dim = pairs.x.shape[-1]

    def start(groups, size):
        return tuple(
            (zeros(groups, size, dim), zeros(groups, size)) for _ in log_kernels
        )

    def function(rows, columns, block):
        new_rows, turns = [], Turns(pairs.x)
        for log_kernel, (sums, mass), row_log, column_log in zip(
            turns.of(log_kernels), rows, block.rows, block.columns, strict=True
        ):
            logits = log_kernel(block.costs) + row_log
            logits = logits + ops.swapaxes(column_log, -1, -2)
            # Masked in log space: the value at an absent pair may overflow.
            weights = ops.exp(block.weigh(logits))
            sums = sums + backend.matmul(weights, block.points)
            mass = mass + ops.sum(weights, axis=-1, keepdims=True)
            turns.end(sums)
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
