import numpy as np

from contracts import numpy
from keras_drift.ops import covariance_factor


def test_is_a_root():
    points = np.random.default_rng(0).normal(size=(2, 3, 5)).astype("float32")
    covariance = points @ points.swapaxes(1, 2)
    factor = numpy(covariance_factor(covariance))
    found = factor @ factor.swapaxes(1, 2)
    np.testing.assert_allclose(found, covariance, atol=1e-5)


def test_takes_negative_eigenvalues_for_zero():
    factor = numpy(covariance_factor(np.diag([4.0, -1.0]).astype("float32")))
    np.testing.assert_allclose(factor @ factor.T, np.diag([4, 0]), atol=1e-6)
