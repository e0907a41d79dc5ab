"""Blockwise reductions over all sample-point pairs in O(n + m) memory."""

from keras_drift.ops.block import Block
from keras_drift.ops.distances import distances_of_gram
from keras_drift.ops.distances import half_squared_distances
from keras_drift.ops.distances import lengths
from keras_drift.ops.distances import log_distance
from keras_drift.ops.distances import pairwise_distances
from keras_drift.ops.distances import squared_distances
from keras_drift.ops.distances import unit_vectors
from keras_drift.ops.divergences import f_divergence
from keras_drift.ops.fields import curl_free_field
from keras_drift.ops.fields import dual_coefficients
from keras_drift.ops.fields import dual_field
from keras_drift.ops.fields import ratio_field
from keras_drift.ops.fields import row_field
from keras_drift.ops.fields import unnormalized_field
from keras_drift.ops.gaussian_nodes import gaussian_nodes
from keras_drift.ops.log_kernel import LogKernel
from keras_drift.ops.means import barycenters
from keras_drift.ops.means import mean_displacements
from keras_drift.ops.means import mean_shifts
from keras_drift.ops.means import weighted_sums
from keras_drift.ops.moments import covariance_factor
from keras_drift.ops.moments import covariance_overlap
from keras_drift.ops.nearest import counts_within
from keras_drift.ops.nearest import nearest_costs
from keras_drift.ops.nearest import nearest_points
from keras_drift.ops.nearest import neighbor_radii
from keras_drift.ops.official import official_distance_sums
from keras_drift.ops.official import official_dual_field
from keras_drift.ops.official import official_mean_distance
from keras_drift.ops.pairs import Pairs
from keras_drift.ops.pairs import in_units_of
from keras_drift.ops.point_cloud import PointCloud
from keras_drift.ops.point_cloud import join
from keras_drift.ops.point_cloud import mask_absent
from keras_drift.ops.positive_shares import positive_shares
from keras_drift.ops.reductions import cost_sums
from keras_drift.ops.reductions import geometric_softmax
from keras_drift.ops.reductions import log_sum_exp
from keras_drift.ops.reductions import log_sum_over_points
from keras_drift.ops.reductions import log_sum_over_samples
from keras_drift.ops.reductions import log_sums
from keras_drift.ops.reductions import mean_cost
from keras_drift.ops.reductions import mean_over_points
from keras_drift.ops.reductions import mean_similarity
from keras_drift.ops.sinkhorn import SinkhornPlan
from keras_drift.ops.sinkhorn import sinkhorn
from keras_drift.ops.sliced import joint_quantiles
from keras_drift.ops.sliced import quantile_means
from keras_drift.ops.sliced import slice_directions
from keras_drift.ops.sliced import sliced_transport

__all__ = [
    "Block",
    "LogKernel",
    "Pairs",
    "PointCloud",
    "SinkhornPlan",
    "barycenters",
    "cost_sums",
    "counts_within",
    "covariance_factor",
    "covariance_overlap",
    "curl_free_field",
    "distances_of_gram",
    "dual_coefficients",
    "dual_field",
    "f_divergence",
    "gaussian_nodes",
    "geometric_softmax",
    "half_squared_distances",
    "in_units_of",
    "join",
    "joint_quantiles",
    "lengths",
    "log_distance",
    "log_sum_exp",
    "log_sum_over_points",
    "log_sum_over_samples",
    "log_sums",
    "mask_absent",
    "mean_cost",
    "mean_displacements",
    "mean_over_points",
    "mean_shifts",
    "mean_similarity",
    "nearest_costs",
    "nearest_points",
    "neighbor_radii",
    "official_distance_sums",
    "official_dual_field",
    "official_mean_distance",
    "pairwise_distances",
    "positive_shares",
    "quantile_means",
    "ratio_field",
    "row_field",
    "sinkhorn",
    "slice_directions",
    "sliced_transport",
    "squared_distances",
    "unit_vectors",
    "unnormalized_field",
    "weighted_sums",
]
