import numpy as np
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
