import numpy as np
import pytest

import contracts
from keras_drift import drifts
from keras_drift import kernels
from keras_drift import spectral


def overlap(x, data, kernel):
    program = contracts.in_one_program(
        lambda x, data: spectral.overlap(x, data, kernel)
    )
    return float(program(x, data))


def by_hand(x, data, profile, width):
    def density(at, cloud):
        distance = np.linalg.norm(at[:, None] - cloud, axis=-1)
        return profile(distance / width)

    at_data = density(data, data)
    n = len(data)
    at_data = (at_data.sum() - np.trace(at_data)) / (n * (n - 1))
    return density(x, data).mean() / at_data


def test_matches_the_formula():
    rng = np.random.default_rng(0)
    x, data = rng.normal(size=(7, 3)) + 0.5, rng.normal(size=(9, 3))
    found = overlap(x, data, kernels.Laplacian(0.8))
    expected = by_hand(x, data, lambda r: (1 + r) * np.exp(-r), 0.8)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_tells_the_share_that_has_escaped_where_the_drift_does_not():
    rng = np.random.default_rng(0)
    data, x = rng.normal(size=(2, 400, 2))
    kernel = kernels.Gaussian(0.7)
    x[300:] += 100.0
    drift = contracts.in_one_program(drifts.KernelDrift(kernel))
    velocity = contracts.numpy(drift(x[:300], data, x))
    assert np.sqrt(np.mean(np.square(velocity))) < 0.3
    share = overlap(x, data, kernel)
    assert share == pytest.approx(0.75, abs=0.05)


def test_several_bandwidths_are_averaged():
    rng = np.random.default_rng(0)
    x, data = rng.normal(size=(7, 3)) + 0.5, rng.normal(size=(9, 3))
    found = overlap(x, data, kernels.Gaussian([0.5, 2.0]))

    def profile(r):
        return np.exp(-r * r / 2) + np.exp(-r * r / 32)

    np.testing.assert_allclose(found, by_hand(x, data, profile, 0.5), rtol=1e-5)


def test_needs_two_data():
    with pytest.raises(ValueError, match="at least two"):
        spectral.overlap(np.zeros((3, 2)), np.zeros((1, 2)), "gaussian")


def test_a_spherical_kernel_compares_directions():
    rng = np.random.default_rng(0)
    x, data = rng.normal(size=(7, 3)) + 0.5, rng.normal(size=(9, 3))
    found = overlap(x, 5 * data, kernels.VonMisesFisher(0.6))
    x, data = (v / np.linalg.norm(v, axis=1)[:, None] for v in (x, data))
    expected = by_hand(x, data, lambda r: np.exp(-(r**2) / 2), 0.6)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_refuses_a_kernel_without_companion():
    x = np.eye(3)
    with pytest.raises(ValueError, match="companion of a `SphericalLog"):
        spectral.overlap(x, x, "spherical_logarithmic")
    with pytest.raises(ValueError, match="`exponent` above 1"):
        spectral.overlap(x, x, kernels.InverseMultiquadric(exponent=0.5))
