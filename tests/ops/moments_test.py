import numpy as np
import pytest
from keras import ops
from scipy import linalg

import contracts
from contracts import numpy
from keras_drift.ops import covariance_factor
from keras_drift.ops import covariance_overlap


def test_is_a_root():
    points = np.random.default_rng(0).normal(size=(2, 3, 5)).astype("float32")
    covariance = points @ points.swapaxes(1, 2)
    factor = numpy(covariance_factor(covariance))
    found = factor @ factor.swapaxes(1, 2)
    np.testing.assert_allclose(found, covariance, atol=1e-5)


def test_takes_negative_eigenvalues_for_zero():
    factor = numpy(covariance_factor(np.diag([4.0, -1.0]).astype("float32")))
    np.testing.assert_allclose(factor @ factor.T, np.diag([4, 0]), atol=1e-6)


def test_overlap_is_the_trace_of_the_root():
    x, y = np.random.default_rng(0).normal(size=(2, 3, 3))
    x, y = x @ x.T, y @ y.T
    root = linalg.sqrtm(x)
    expected = np.trace(np.real(linalg.sqrtm(root @ y @ root)))
    x, y = (ops.convert_to_tensor(v, "float32") for v in (x, y))
    found = contracts.in_one_program(covariance_overlap)(x, y)
    np.testing.assert_allclose(numpy(found), expected, rtol=1e-5)


@pytest.mark.parametrize("size", [1e-7, 1e-9, 1.0, 1e9])
def test_numbers_of_any_size_have_a_root(size):
    # Of samples that are all the same, rounding leaves tiny covariances.
    for seed in range(20):
        rng = np.random.default_rng(seed)
        vector = (rng.integers(-2, 3, 64) * size).astype("float32")
        covariance = np.outer(vector, vector)
        root = numpy(covariance_factor(ops.convert_to_tensor(covariance)))
        found = root.astype("float64") @ root.T
        scale = float(np.abs(covariance).max())
        np.testing.assert_allclose(found / scale, covariance / scale, atol=1e-4)


@pytest.mark.parametrize("dim", [32, 128])
def test_samples_that_are_all_the_same_have_a_root(dim):
    """In float32 the decomposition of their rounding may not converge."""
    for seed in range(20):
        point = np.random.default_rng(seed).normal(size=dim)
        samples = ops.convert_to_tensor(np.tile(point, (8, 1)), "float32")
        centered = samples - ops.mean(samples, axis=0)
        covariance = ops.matmul(ops.transpose(centered), centered) / 7
        root = numpy(covariance_factor(covariance))
        np.testing.assert_allclose(root, 0.0, atol=1e-5)
