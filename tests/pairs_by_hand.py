"""Samples and points, with the costs and counts of all pairs in float64."""

import numpy as np
import pytest
from keras import ops
from scipy.spatial import distance as scipy_distance

import contracts
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud

GROUPS, SAMPLES, POINTS, DIM = 3, 7, 11, 2
# In one block; cut with and without a rest; one pair at a time; one strip.
BLOCK_SIZES = [None, (3, 4), (7, 5), 1, (2, 100)]

each_block_size = pytest.mark.parametrize("block_size", BLOCK_SIZES)


def near(costs):
    return -3.0 * costs


def far(costs):
    return -0.5 * costs**2 + 1.0


LOG_KERNELS = (near, far)


class Case:
    """Samples that are the first points; weights, one of them zero.

    The point of weight zero holds NaN; what is a reduction at this point, such
    as a sum over the samples, is that at the mean of the other points.
    """

    def __init__(self, weighted=True, contains_samples=True):
        rng = np.random.default_rng(0)
        self.x = rng.normal(size=(GROUPS, SAMPLES, DIM)).astype("float32")
        more = rng.normal(size=(GROUPS, POINTS - SAMPLES, DIM))
        self.points = np.concatenate([self.x, more.astype("float32")], axis=1)
        self.weights = np.ones((GROUPS, POINTS), "float32")
        if weighted:
            self.weights = rng.uniform(0.5, 3, (GROUPS, POINTS)).astype("f4")
            self.weights[1, 4] = 0
            self.points[1, 4] = np.delete(self.points[1], 4, 0).mean(0)
        self.weighted = weighted
        self.contains_samples = contains_samples
        x, y = (v.astype("float64") for v in (self.x, self.points))
        self.costs = np.stack(
            [scipy_distance.cdist(*xy) for xy in zip(x, y, strict=True)]
        )
        self.present = np.ones((SAMPLES, POINTS), bool)
        if contains_samples:
            self.present &= ~np.eye(SAMPLES, POINTS, dtype=bool)
        self.counts = self.weights[:, None, :] * self.present

    def pairs(self, block_size=None):
        weights = ops.convert_to_tensor(self.weights) if self.weighted else None
        points = np.where(self.weights[..., None] > 0, self.points, np.nan)
        cloud = PointCloud(
            ops.convert_to_tensor(points), weights, self.contains_samples
        )
        x = ops.convert_to_tensor(self.x)
        return Pairs(x, cloud, block_size=block_size)


def close(found, expected, rtol=1e-5, atol=1e-6):
    np.testing.assert_allclose(
        contracts.numpy(found), expected, rtol=rtol, atol=atol
    )
