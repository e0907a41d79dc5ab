"""What folds over pairs carry along: running sums, of exponentials above all.

A running sum of exponentials is a pair `(top, mass)`, each `(groups, a, 1)`:
the largest logarithm so far, and the sum of `exp(logarithm - top)`.
"""

import functools

import keras
from keras import ops

from keras_drift import backend

# Takes part in `maximum` and `exp` as minus infinity would, without a NaN.
_LOWEST = -1e38


def nothing(groups, size):
    """The start of a fold that carries nothing in this direction."""
    del groups, size
    return ()


def zeros(groups, size, dim=1):
    """The start of a plain sum, `(groups, size, dim)`."""
    # In float32 whatever the default of Keras is.
    return ops.zeros((groups, size, dim), "float32")


def empty_sum(groups, size):
    """The start of a running sum of exponentials."""
    mass = zeros(groups, size)
    return mass + _LOWEST, mass


def add_to_sum(state, logits, axis):
    """Adds `exp(logits)` over an axis to a running sum."""
    top, mass = state
    new_top = highest(top, logits, axis)
    added = ops.sum(
        backend.exp_of_difference(logits, new_top), axis=axis, keepdims=True
    )
    return new_top, mass * ops.exp(top - new_top) + added


def add_over_samples(state, block, logits):
    """Adds `exp(logits)` of the pairs of a block, point by point."""
    logits = block.fill(logits, float("-inf"))
    return _turned(add_to_sum(_turned(state), logits, axis=-2))


def highest(top, logits, axis):
    """The larger of `top` and the largest of `logits` along an axis."""
    # It cancels: it needs no gradient, and none flows through a tie.
    found = ops.max(logits, axis=axis, keepdims=True)
    return ops.stop_gradient(ops.maximum(top, found))


def log_of_sum(top, mass):
    """The logarithm of a running sum; minus infinity for nothing."""
    empty = mass == 0
    logs = top + ops.log(ops.where(empty, 1.0, mass))
    return ops.where(empty, float("-inf"), logs)


def log_sum(logits, axis):
    """The logarithm of the sum of `exp(logits)` over an axis, at once."""
    top = highest(_LOWEST, logits, axis)
    mass = ops.sum(
        backend.exp_of_difference(logits, top), axis=axis, keepdims=True
    )
    return ops.squeeze(log_of_sum(top, mass), axis)


def finite_log_sum(sets, axis):
    """Over an axis of all tensors in `sets`; about -1e38 for nothing."""
    top = functools.reduce(lambda top, v: highest(top, v, axis), sets, _LOWEST)
    mass = sum(
        ops.sum(
            backend.exp_of_difference(logits, top), axis=axis, keepdims=True
        )
        for logits in sets
    )
    # At least 1, but for nothing. Compilers fuse it, unlike a `where`.
    return top + ops.log(ops.maximum(mass, 1e-30))


def absent_if_infinite(logs):
    """One axis more, and minus infinity for both infinities."""
    return ops.where(ops.isinf(logs), float("-inf"), logs)[..., None]


def _turned(state):
    return keras.tree.map_structure(lambda v: ops.swapaxes(v, -1, -2), state)
