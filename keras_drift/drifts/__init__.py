"""Operators that say in which direction every sample should move."""

from keras_drift import checks
from keras_drift.drifts.drift import Drift
from keras_drift.drifts.drift import Field
from keras_drift.drifts.kernel_drift import KernelDrift
from keras_drift.drifts.variational_drift import VariationalDrift

__all__ = ["Drift", "Field", "KernelDrift", "VariationalDrift", "get"]

_DRIFTS = {"kernel_drift": KernelDrift}


def get(identifier):
    """Returns the drift that a name, a config or a drift stands for.

    Args:
        identifier: a `Drift`, its config, or `"kernel_drift"` (with its default
            arguments).

    Returns:
        A `Drift`.

    Example:

    >>> from keras_drift import drifts
    >>> drifts.get("kernel_drift").normalization
    'row'
    """
    return checks.lookup(identifier, _DRIFTS, Drift, "drift")
