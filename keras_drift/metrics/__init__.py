"""Distances between generated samples and data, with their noise floors."""

from keras_drift.metrics.coverage import Coverage
from keras_drift.metrics.coverage import coverage
from keras_drift.metrics.density import Density
from keras_drift.metrics.density import density
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
from keras_drift.metrics.nearest_neighbor_accuracy import (
    NearestNeighborAccuracy,
)
from keras_drift.metrics.nearest_neighbor_accuracy import (
    nearest_neighbor_accuracy,
)
from keras_drift.metrics.nearest_neighbor_precision import (
    NearestNeighborPrecision,
)
from keras_drift.metrics.nearest_neighbor_precision import (
    nearest_neighbor_precision,
)
from keras_drift.metrics.nearest_neighbor_recall import NearestNeighborRecall
from keras_drift.metrics.nearest_neighbor_recall import nearest_neighbor_recall
from keras_drift.metrics.sliced_wasserstein import SlicedWasserstein
from keras_drift.metrics.sliced_wasserstein import sliced_wasserstein

__all__ = [
    "Coverage",
    "Density",
    "Distance",
    "EnergyDistance",
    "FrechetDistance",
    "MaximumMeanDiscrepancy",
    "NearestNeighborAccuracy",
    "NearestNeighborPrecision",
    "NearestNeighborRecall",
    "SlicedWasserstein",
    "coverage",
    "density",
    "energy_distance",
    "floor",
    "frechet_distance",
    "frechet_distance_from_moments",
    "maximum_mean_discrepancy",
    "nearest_neighbor_accuracy",
    "nearest_neighbor_precision",
    "nearest_neighbor_recall",
    "sliced_wasserstein",
]
