"""Distances between generated samples and data, with their noise floors."""

from keras_drift.metrics.distance import Distance
from keras_drift.metrics.energy_distance import EnergyDistance
from keras_drift.metrics.energy_distance import energy_distance
from keras_drift.metrics.floor import floor
from keras_drift.metrics.frechet_distance import FrechetDistance
from keras_drift.metrics.frechet_distance import frechet_distance
from keras_drift.metrics.frechet_distance import frechet_distance_from_moments
from keras_drift.metrics.maximum_mean_discrepancy import MaximumMeanDiscrepancy
from keras_drift.metrics.maximum_mean_discrepancy import (
    maximum_mean_discrepancy,
)
from keras_drift.metrics.sliced_wasserstein import SlicedWasserstein
from keras_drift.metrics.sliced_wasserstein import sliced_wasserstein

__all__ = [
    "Distance",
    "EnergyDistance",
    "FrechetDistance",
    "MaximumMeanDiscrepancy",
    "SlicedWasserstein",
    "energy_distance",
    "floor",
    "frechet_distance",
    "frechet_distance_from_moments",
    "maximum_mean_discrepancy",
    "sliced_wasserstein",
]
