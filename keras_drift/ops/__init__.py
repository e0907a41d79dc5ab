"""Pairwise operations on sets of samples: the hot loop of the library."""

from keras_drift.ops.cloud import Cloud
from keras_drift.ops.cloud import join
from keras_drift.ops.distances import pairwise_distances
from keras_drift.ops.distances import squared_distances
from keras_drift.ops.fields import dual_field
from keras_drift.ops.fields import mean_distance
from keras_drift.ops.fields import released_dual_field
from keras_drift.ops.fields import released_mean_distance
from keras_drift.ops.fields import row_field
from keras_drift.ops.reductions import barycentres
from keras_drift.ops.reductions import log_sum_exp

__all__ = [
    "Cloud",
    "barycentres",
    "dual_field",
    "join",
    "log_sum_exp",
    "mean_distance",
    "pairwise_distances",
    "released_dual_field",
    "released_mean_distance",
    "row_field",
    "squared_distances",
]
