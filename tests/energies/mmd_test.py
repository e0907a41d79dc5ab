import numpy as np
import pytest
from scipy.spatial.distance import cdist

import contracts
from keras_drift import drifts
from keras_drift import energies
from keras_drift import kernels

rng = np.random.default_rng(0)
X, DATA = rng.normal(size=(5, 3)), rng.normal(size=(7, 3)) + 0.5
WEIGHTS = rng.uniform(0.5, 2, 7)
SHARES = WEIGHTS / WEIGHTS.sum()


def gaussian(r):
    return np.mean([np.exp(-(r**2) / (2 * s**2)) for s in (0.5, 2.0)], axis=0)


def laplacian(r):
    return np.exp(-r / 0.7)


def negative_distance(r):
    return -r


def on_sphere(profile):
    """The kernel of directions, from distances of unit vectors."""
    profile.on_sphere = True
    return profile


MEMBERS = [
    (kernels.Gaussian([0.5, 2.0]), gaussian),
    (kernels.Laplacian(0.7), laplacian),
    ("negative_distance", negative_distance),
    (
        kernels.VonMisesFisher([0.4, 1.0]),
        on_sphere(
            lambda r: np.mean(
                [np.exp(-(r**2) / (2 * s**2)) for s in (0.4, 1.0)], axis=0
            )
        ),
    ),
    (
        kernels.SphericalLogarithmic(0.3),
        on_sphere(
            lambda r: (
                np.log((2 + 0.045) / (r**2 / 2 + 0.045))
                / np.log((2 + 0.045) / 0.045)
            )
        ),
    ),
]
each_member = pytest.mark.parametrize(("kernel", "k"), MEMBERS)


def energy_by_hand(k, x):
    data = DATA
    if hasattr(k, "on_sphere"):
        x, data = (v / np.linalg.norm(v, axis=1)[:, None] for v in (x, data))
    return (
        k(cdist(x, x)).mean() / 2
        + SHARES @ k(cdist(data, data)) @ SHARES / 2
        - (k(cdist(x, data)) @ SHARES).mean()
    )


@each_member
def test_value_matches_the_definition(kernel, k):
    energy = contracts.in_one_program(energies.MMD(kernel))
    found = float(energy(X, DATA, WEIGHTS))
    np.testing.assert_allclose(found, energy_by_hand(k, X), rtol=1e-5)


@each_member
def test_velocity_is_the_slope(kernel, k):
    drift = drifts.VariationalDrift(energies.MMD(kernel))
    slope = np.zeros_like(X)
    for at in np.ndindex(*X.shape):
        step = np.zeros_like(X)
        step[at] = 1e-6
        rise = energy_by_hand(k, X + step) - energy_by_hand(k, X - step)
        slope[at] = rise / 2e-6
    velocity = contracts.in_one_program(drift)(
        X, DATA, positive_weights=WEIGHTS
    )
    np.testing.assert_allclose(
        contracts.numpy(velocity), -5 * slope, rtol=1e-4, atol=1e-5
    )


def test_velocity_of_the_negative_distance_is_made_of_unit_vectors():
    def units(cloud):
        gaps = X[:, None] - cloud
        lengths = np.linalg.norm(gaps, axis=-1, keepdims=True)
        return gaps / np.where(lengths == 0, 1, lengths)

    expected = units(X).mean(axis=1) - units(DATA).mean(axis=1)
    drift = drifts.VariationalDrift(energies.MMD("negative_distance"))
    velocity = contracts.numpy(contracts.in_one_program(drift)(X, DATA))
    np.testing.assert_allclose(velocity, expected, atol=1e-5)


def test_the_negative_distance_has_no_bandwidth():
    assert energies.MMD("negative_distance").bandwidth is None


def test_a_sample_at_the_origin_has_no_direction_and_stays():
    drift = drifts.VariationalDrift(energies.MMD("von_mises_fisher"))
    x = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    velocity = contracts.numpy(contracts.in_one_program(drift)(x, DATA))
    np.testing.assert_array_equal(velocity[0], 0)
    assert np.all(np.isfinite(velocity))
    # Along the sphere, of whatever radius.
    assert abs(velocity[1, 0]) < 1e-6 < np.abs(velocity[1, 1:]).max()
