"""Operators that say in which direction every sample should move."""

from keras_drift import checks
from keras_drift.drifts.drift import Drift
from keras_drift.drifts.drift import Field
from keras_drift.drifts.kernel_drift import KernelDrift
from keras_drift.drifts.sinkhorn_drift import SinkhornDrift
from keras_drift.drifts.sliced_wasserstein_drift import SlicedWassersteinDrift

__all__ = [
    "Drift",
    "Field",
    "KernelDrift",
    "SinkhornDrift",
    "SlicedWassersteinDrift",
    "get",
]

_DRIFTS = {
    "kernel_drift": KernelDrift,
    "sinkhorn": SinkhornDrift,
    "sliced_wasserstein": SlicedWassersteinDrift,
}


def get(identifier):
    """Returns the drift that a name, a config or a drift stands for.

    Args:
        identifier: a `Drift`, its config, or `"kernel_drift"`, `"sinkhorn"` or
            `"sliced_wasserstein"` (with default arguments).

    Returns:
        A `Drift`.

    Example:

    >>> from keras_drift import drifts
    >>> drifts.get("kernel_drift").normalization
    'row'
    """
    return checks.lookup(identifier, _DRIFTS, Drift, "drift")
