"""Streaming accumulators: sums and log-sum-exps.

A streaming log-sum-exp is a pair `(top, mass)`, each `(groups, a, 1)`: the
largest logarithm so far, and the sum of `exp(logarithm - top)`.
"""

import keras
from keras import ops

from keras_drift import backend

# Acts as minus infinity in `maximum` and `exp`, without a NaN.
LOWEST = -1e38


def nothing(groups, size):
    """The initial state of a fold without accumulator on this axis."""
    del groups, size
    return ()


def zeros(groups, size, dim=1):
    """The initial state of a sum, `(groups, size, dim)`."""
    # In float32 whatever the default of Keras is.
    return ops.zeros((groups, size, dim), "float32")


def empty_sum(groups, size):
    """The initial state of a log-sum-exp."""
    mass = zeros(groups, size)
    return mass + LOWEST, mass


def add_to_sum(state, logits, axis):
    """Adds `exp(logits)`, summed over an axis, to an accumulator."""
    top, mass = state
    new_top = highest(top, logits, axis)
    added = ops.sum(
        backend.exp_of_difference(logits, new_top), axis=axis, keepdims=True
    )
    return new_top, mass * ops.exp(top - new_top) + added


def add_over_samples(state, block, logits):
    """Adds `exp(logits)` of a block to the accumulators of its points."""
    logits = block.fill(logits, float("-inf"))
    return _transposed(add_to_sum(_transposed(state), logits, axis=-2))


def highest(top, logits, axis):
    """The larger of `top` and the largest of `logits` along an axis."""
    # It cancels, so it needs no gradient, which ties would make ambiguous.
    found = ops.max(logits, axis=axis, keepdims=True)
    return ops.stop_gradient(ops.maximum(top, found))


def relative_to(top, logits):
    """`exp(logits - top)`, where `top` is the maximum over the points so far.

    A compiled program may evaluate the logits twice, for their maximum and
    here, with different rounding. Beyond 1e7 the two differ by whole units, so
    the exponential could overflow or vanish. There the differences, and their
    gradients, are divided by `1e-7 |top|`.
    """
    if not backend.COMPILES:
        return backend.exp_of_difference(logits, top)
    factor = 1.0 / ops.maximum(1e-7 * ops.abs(top), 1.0)
    return backend.exp_of_difference(logits * factor, top * factor)


def log_of_sum(top, mass):
    """The logarithm of an accumulated sum; minus infinity if it is empty."""
    empty = mass == 0
    logs = top + ops.log(ops.where(empty, 1.0, mass))
    return ops.where(empty, float("-inf"), logs)


def log_sum(logits, axis):
    """Log-sum-exp over an axis, of all logits at once."""
    top = highest(LOWEST, logits, axis)
    mass = ops.sum(
        backend.exp_of_difference(logits, top), axis=axis, keepdims=True
    )
    return ops.squeeze(log_of_sum(top, mass), axis)


def merged_sums(states):
    """Merges accumulators of several parts, stacked along a first axis.

    Args:
        states: a log-sum-exp, or a nest of tuples of them.

    Returns:
        The same without the first axis.
    """
    if not states or isinstance(states[0], tuple):
        return tuple(map(merged_sums, states))
    tops, masses = states
    top = ops.stop_gradient(ops.max(tops, axis=0))
    shrink = ops.exp(ops.stop_gradient(tops) - top)
    return top, ops.sum(masses * shrink, axis=0)


def absent_if_infinite(logs):
    """Adds an axis; both infinities become minus infinity."""
    return ops.where(ops.isinf(logs), float("-inf"), logs)[..., None]


def _transposed(state):
    return keras.tree.map_structure(lambda v: ops.swapaxes(v, -1, -2), state)
