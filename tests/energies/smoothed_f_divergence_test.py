import functools

import numpy as np
import pytest

import contracts
from keras_drift import drifts
from keras_drift import energies
from keras_drift import kernels

WIDTH = 0.8
X = np.array([-0.6, 0.1, 0.9, 1.4])
DATA = np.array([-1.2, 0.0, 0.3, 1.9, 2.2])
WEIGHTS = np.array([1.0, 2.0, 0.5, 1.0, 1.5])

# `f` of the papers, 5.1, and the weight of the velocity.
DIVERGENCES = {
    "kl_qp": (lambda u: u * np.log(u), lambda r: np.ones_like(r)),
    "kl_pq": (lambda u: -np.log(u), lambda r: 1 / r),
    "chi2": (lambda u: (u - 1) ** 2 / 2, lambda r: r),
    "hellinger": (lambda u: (np.sqrt(u) - 1) ** 2, lambda r: r**-0.5 / 2),
    "neyman": (lambda u: (u - 1) ** 2 / (2 * u), lambda r: r**-2.0),
    "jensen_shannon": (
        lambda u: u * np.log(2 * u / (1 + u)) / 2 + np.log(2 / (1 + u)) / 2,
        lambda r: 1 / (2 * (1 + r)),
    ),
    1.5: (
        lambda u: (u**1.5 - 1.5 * u + 0.5) / 0.75,
        lambda r: r**0.5,
    ),
    "mixture": (
        lambda u: -0.5 * np.log(u) + 0.25 * (u - 1) ** 2,
        lambda r: 0.5 / r + 0.5 * r,
    ),
}
MIXTURE = {"kl_pq": 0.5, "chi2": 0.5}
each_divergence = pytest.mark.parametrize("divergence", DIVERGENCES)


def blurred(z, points, weights=None):
    """Density and score at `z` of points with Gaussian noise."""
    gaps = points - z[:, None]
    k = np.exp(-(gaps**2) / (2 * WIDTH**2)) / np.sqrt(2 * np.pi) / WIDTH
    density = np.average(k, axis=1, weights=weights)
    slope = np.average(k * gaps, axis=1, weights=weights) / WIDTH**2
    return density, slope / density


def energy_by_hand(divergence, x):
    """The integral, on a grid."""
    z = np.linspace(-8, 9, 6001)
    q, p = blurred(z, x)[0], blurred(z, DATA, WEIGHTS)[0]
    f, _ = DIVERGENCES[divergence]
    return WIDTH**2 * np.trapezoid(p * f(q / p), z)


def velocity_by_hand(divergence, x):
    """The field, averaged over the blur around each sample, on a grid."""
    noise = np.linspace(-6, 6, 2001)
    mass = np.exp(-(noise**2) / 2)
    _, weight = DIVERGENCES[divergence]
    velocity = []
    for point in x:
        z = point + WIDTH * noise
        (q, score_q), (p, score_p) = blurred(z, x), blurred(z, DATA, WEIGHTS)
        pull = weight(q / p) * (score_p - score_q)
        velocity.append(WIDTH**2 * np.average(pull, weights=mass))
    return np.array(velocity)


@functools.cache
def program(divergence):
    """From samples, data and weights to the energy and its velocity."""
    divergence = MIXTURE if divergence == "mixture" else divergence
    energy = energies.SmoothedFDivergence(divergence, WIDTH, num_nodes=60)
    drift = drifts.VariationalDrift(energy)

    @contracts.in_one_program
    def both(x, data, weights):
        return (
            energy(x, data, weights),
            drift(x, data, positive_weights=weights),
        )

    return both


@functools.cache
def both(divergence):
    value, velocity = program(divergence)(X[:, None], DATA[:, None], WEIGHTS)
    return float(value), contracts.numpy(velocity)[:, 0]


@each_divergence
def test_value_and_velocity_are_the_integrals(divergence):
    value, velocity = both(divergence)
    expected = energy_by_hand(divergence, X)
    np.testing.assert_allclose(value, expected, rtol=2e-4)
    expected = velocity_by_hand(divergence, X)
    np.testing.assert_allclose(velocity, expected, rtol=1e-4, atol=1e-4)


@each_divergence
def test_velocity_is_the_slope_of_the_energy(divergence):
    _, velocity = both(divergence)
    step = 1e-4 * np.eye(len(X))
    slope = [
        energy_by_hand(divergence, X + s) - energy_by_hand(divergence, X - s)
        for s in step
    ]
    expected = -len(X) * np.array(slope) / 2e-4
    np.testing.assert_allclose(velocity, expected, rtol=2e-4, atol=1e-4)


def test_one_node_is_the_kernel_drift():
    energy = energies.SmoothedFDivergence("kl_qp", WIDTH, num_nodes=1)
    rng = np.random.default_rng(0)
    x, data = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 7, 3))
    plain = drifts.KernelDrift(
        kernels.Gaussian(WIDTH), self_interaction="included"
    )
    found, expected = (
        contracts.numpy(contracts.in_one_program(drift)(x, data))
        for drift in (drifts.VariationalDrift(energy), plain)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


@each_divergence
def test_stays_finite_far_from_the_data(divergence):
    for far in (-1000, 1000):
        found = program(divergence)(X[:, None] + far, DATA[:, None], WEIGHTS)
        assert all(np.all(np.isfinite(contracts.numpy(v))) for v in found)


def test_refuses_what_is_no_divergence():
    with pytest.raises(ValueError, match=r"`divergence`.*Did you mean 'chi2'"):
        energies.SmoothedFDivergence("chi")
    with pytest.raises(ValueError, match=r"must be finite.*divergence=inf"):
        energies.SmoothedFDivergence(float("inf"))
    with pytest.raises(ValueError, match=r"`bandwidth`.*=0"):
        energies.SmoothedFDivergence(bandwidth=0)
    with pytest.raises(ValueError, match=r"`num_nodes`.*=0"):
        energies.SmoothedFDivergence(num_nodes=0)
