"""Drift operators: velocity fields that transport samples toward the data."""

from keras_drift import checks
from keras_drift.drifts import normalizations
from keras_drift.drifts.decomposition import Decomposition
from keras_drift.drifts.decomposition import decomposition
from keras_drift.drifts.drift import Drift
from keras_drift.drifts.energy_distance_drift import EnergyDistanceDrift
from keras_drift.drifts.f_divergence_drift import FDivergenceDrift
from keras_drift.drifts.field import Field
from keras_drift.drifts.field_inputs import FieldInputs
from keras_drift.drifts.kernel_drift import KernelDrift
from keras_drift.drifts.lookahead import Lookahead
from keras_drift.drifts.mmd_drift import MMDDrift
from keras_drift.drifts.pairwise_drift import PairwiseDrift
from keras_drift.drifts.self_tuning_drift import SelfTuningDrift
from keras_drift.drifts.signal import Signal
from keras_drift.drifts.sinkhorn_drift import SinkhornDrift
from keras_drift.drifts.sliced_wasserstein_drift import SlicedWassersteinDrift
from keras_drift.drifts.sum import Sum
from keras_drift.drifts.variational_drift import VariationalDrift
from keras_drift.drifts.velocity_drift import VelocityDrift

__all__ = [
    "Decomposition",
    "Drift",
    "EnergyDistanceDrift",
    "FDivergenceDrift",
    "Field",
    "FieldInputs",
    "KernelDrift",
    "Lookahead",
    "MMDDrift",
    "PairwiseDrift",
    "SelfTuningDrift",
    "Signal",
    "SinkhornDrift",
    "SlicedWassersteinDrift",
    "Sum",
    "VariationalDrift",
    "VelocityDrift",
    "decomposition",
    "get",
    "normalizations",
]

_DRIFTS = {
    "energy_distance_drift": EnergyDistanceDrift,
    "f_divergence_drift": FDivergenceDrift,
    "kernel_drift": KernelDrift,
    "lookahead": Lookahead,
    "mmd_drift": MMDDrift,
    "self_tuning_drift": SelfTuningDrift,
    "sinkhorn_drift": SinkhornDrift,
    "sliced_wasserstein_drift": SlicedWassersteinDrift,
}


def get(identifier):
    """Returns the drift for a name, a config or a drift.

    Args:
        identifier: a `Drift`, its config, or one of `"kernel_drift"`,
            `"sinkhorn_drift"`, `"sliced_wasserstein_drift"`, `"mmd_drift"`,
            `"energy_distance_drift"`, `"f_divergence_drift"`,
            `"self_tuning_drift"`, `"lookahead"` (with their default
            arguments).

    Returns:
        A `Drift`.

    Example:

    >>> from keras_drift import drifts
    >>> drifts.get("kernel_drift").normalization
    Row(bias_correction=False, outer_smoothing=None)
    """
    return checks.lookup(identifier, _DRIFTS, Drift, "drift")
