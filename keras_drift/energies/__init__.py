"""Energies: functionals of samples whose gradient flows are drifts."""

from keras_drift import checks
from keras_drift.energies.energy import Energy
from keras_drift.energies.frechet_distance import FrechetDistance
from keras_drift.energies.mmd import MMD
from keras_drift.energies.sinkhorn_divergence import SinkhornDivergence
from keras_drift.energies.sliced_wasserstein import SlicedWasserstein
from keras_drift.energies.smoothed_f_divergence import SmoothedFDivergence
from keras_drift.energies.smoothed_kl import SmoothedKL

__all__ = [
    "MMD",
    "Energy",
    "FrechetDistance",
    "SinkhornDivergence",
    "SlicedWasserstein",
    "SmoothedFDivergence",
    "SmoothedKL",
    "get",
]

_ENERGIES = {
    "frechet_distance": FrechetDistance,
    "mmd": MMD,
    "sinkhorn_divergence": SinkhornDivergence,
    "sliced_wasserstein": SlicedWasserstein,
    "smoothed_f_divergence": SmoothedFDivergence,
    "smoothed_kl": SmoothedKL,
}


def get(identifier):
    """Resolves a name or a config to an energy.

    Args:
        identifier: an `Energy`, its config, or one of `"frechet_distance"`,
            `"mmd"`, `"sinkhorn_divergence"`, `"sliced_wasserstein"`,
            `"smoothed_f_divergence"`, `"smoothed_kl"` (with their default
            arguments).

    Returns:
        An `Energy`.

    Example:

    >>> from keras_drift import energies
    >>> float(energies.get("sinkhorn_divergence").initial_bandwidth)
    0.30000001192092896
    """
    return checks.lookup(identifier, _ENERGIES, Energy, "energy")
