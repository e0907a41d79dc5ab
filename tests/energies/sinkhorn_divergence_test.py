import functools

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

import contracts
from keras_drift import drifts
from keras_drift import energies

rng = np.random.default_rng(0)
X, DATA = rng.normal(size=(5, 2)), rng.normal(size=(7, 2)) + 0.5
WEIGHTS = rng.uniform(0.5, 2, 7)
SHARES = WEIGHTS / WEIGHTS.sum()
UNIFORM = np.full(5, 0.2)
EPSILON = 0.6
COSTS = {
    "squared": lambda x, y: cdist(x, y) ** 2 / 2,
    "distance": cdist,
}
# A length to these powers is a cost, as in geomloss.
POWERS = {"squared": 2, "distance": 1}
each_cost = pytest.mark.parametrize("cost", COSTS)


def transport(cost, a, b):
    """`<plan, cost> + epsilon KL(plan | a b)`, from its primal definition."""
    log_a, log_b = np.log(a)[:, None], np.log(b)[None]
    f, g = np.zeros_like(log_a), np.zeros_like(log_b)
    for _ in range(150):
        f = -EPSILON * logsumexp(
            (g - cost) / EPSILON + log_b, axis=1, keepdims=True
        )
        g = -EPSILON * logsumexp(
            (f - cost) / EPSILON + log_a, axis=0, keepdims=True
        )
    log_density = (f + g - cost) / EPSILON
    plan = np.exp(log_density + log_a + log_b)
    return np.sum(plan * (cost + EPSILON * log_density))


def energy_by_hand(name, x):
    cost = COSTS[name]
    return (
        transport(cost(x, DATA), UNIFORM, SHARES)
        - transport(cost(x, x), UNIFORM, UNIFORM) / 2
        - transport(cost(DATA, DATA), SHARES, SHARES) / 2
    )


@functools.cache
def both(cost):
    """The energy and its velocity: one program for each cost."""
    blur = EPSILON ** (1 / POWERS[cost])
    energy = energies.SinkhornDivergence(blur, cost, num_steps=25)
    drift = drifts.VariationalDrift(energy)

    @contracts.in_one_program
    def program(x, data, weights):
        return (
            energy(x, data, weights),
            drift(x, data, positive_weights=weights),
        )

    return [contracts.numpy(v) for v in program(X, DATA, WEIGHTS)]


@each_cost
def test_value_matches_the_definition(cost):
    expected = energy_by_hand(cost, X)
    np.testing.assert_allclose(both(cost)[0], expected, rtol=1e-4)


@each_cost
def test_velocity_is_the_slope(cost):
    slope = np.zeros_like(X)
    for at in [(0, 0), (1, 1), (3, 0), (4, 1)]:
        step = np.zeros_like(X)
        step[at] = 1e-5
        rise = energy_by_hand(cost, X + step) - energy_by_hand(cost, X - step)
        slope[at] = rise / 2e-5
    velocity = np.where(slope == 0, 0, both(cost)[1])
    np.testing.assert_allclose(velocity, -5 * slope, atol=1e-4)


def test_velocity_is_the_difference_of_barycenters():
    def mean_places(cloud, shares):
        cost = COSTS["squared"](X, cloud)
        u = np.ones(5)
        for _ in range(150):
            v = 1 / (np.exp(-cost / EPSILON).T @ (u * UNIFORM))
            u = 1 / (np.exp(-cost / EPSILON) @ (v * shares))
        return (u[:, None] * np.exp(-cost / EPSILON) * v * shares) @ cloud

    expected = mean_places(DATA, SHARES) - mean_places(X, UNIFORM)
    np.testing.assert_allclose(both("squared")[1], expected, atol=1e-4)


@each_cost
def test_agrees_with_pot(cost, monkeypatch):
    for name in ("JAX", "TENSORFLOW", "PYTORCH", "CUPY"):
        monkeypatch.setenv(f"POT_BACKEND_DISABLE_{name}", "1")
    ot = pytest.importorskip("ot")

    def transport(a, b, matrix):
        plan = ot.sinkhorn(a, b, matrix, EPSILON, stopThr=1e-12)
        entropy = np.sum(plan * np.log(plan / np.outer(a, b)))
        return np.sum(plan * matrix) + EPSILON * entropy

    matrix = COSTS[cost]
    expected = (
        transport(UNIFORM, SHARES, matrix(X, DATA))
        - transport(UNIFORM, UNIFORM, matrix(X, X)) / 2
        - transport(SHARES, SHARES, matrix(DATA, DATA)) / 2
    )
    np.testing.assert_allclose(both(cost)[0], expected, rtol=1e-4)


@each_cost
def test_agrees_with_geomloss(cost):
    geomloss = pytest.importorskip("geomloss")
    import torch

    p = POWERS[cost]
    loss = geomloss.SamplesLoss(
        "sinkhorn",
        p=p,
        blur=EPSILON ** (1 / p),
        scaling=0.95,
        backend="tensorized",
    )
    x, data, a, b = map(torch.tensor, (X, DATA, UNIFORM, SHARES))
    expected = float(loss(a, x, b, data))
    np.testing.assert_allclose(both(cost)[0], expected, rtol=2e-3)


@each_cost
def test_the_same_blur_is_the_same_loss_in_geomloss(cost):
    geomloss = pytest.importorskip("geomloss")
    import torch

    blur = 0.4
    loss = geomloss.SamplesLoss(
        "sinkhorn",
        p=POWERS[cost],
        blur=blur,
        scaling=0.995,
        backend="tensorized",
    )
    expected = float(loss(*map(torch.tensor, (UNIFORM, X, SHARES, DATA))))
    energy = energies.SinkhornDivergence(1.0, cost, num_steps=60)
    energy.anneal(blur)  # schedules set a length
    found = contracts.in_one_program(energy)(X, DATA, WEIGHTS)
    np.testing.assert_allclose(contracts.numpy(found), expected, rtol=2e-3)


def test_gaussians_are_known_in_closed_form():
    # Papers, 4.1. Quantiles in place of random samples: no noise.
    from scipy import stats

    quantiles = stats.norm.ppf((np.arange(300) + 0.5) / 300)
    mean, spread, epsilon = 1.0, 0.6, 0.5
    x, data = quantiles[:, None], mean + spread * quantiles[:, None]
    energy = energies.SinkhornDivergence(epsilon**0.5, num_steps=30)
    velocity = contracts.in_one_program(drifts.VariationalDrift(energy))(
        x, data
    )

    def covariance(a, b):
        return (-epsilon + np.sqrt(epsilon**2 + 4 * a**2 * b**2)) / 2

    slope = covariance(1, spread) - covariance(1, 1)
    middle = np.abs(quantiles) < 1.5
    np.testing.assert_allclose(
        contracts.numpy(velocity)[middle, 0],
        (mean + slope * quantiles)[middle],
        atol=5e-3,
    )


def test_a_large_blur_takes_one_step_to_the_mean():
    energy = energies.SinkhornDivergence(100.0, num_steps=3)
    drift = contracts.in_one_program(drifts.VariationalDrift(energy))
    step = DATA.mean(axis=0) - X.mean(axis=0)
    velocity = contracts.numpy(drift(X, DATA))
    np.testing.assert_allclose(velocity, np.stack([step] * 5), atol=2e-3)


def test_refuses_wrong_arguments():
    with pytest.raises(ValueError, match=r"`cost`.*'squared', 'distance'"):
        energies.SinkhornDivergence(cost="cosine")
    with pytest.raises(ValueError, match=r"`blur`.*blur=0"):
        energies.SinkhornDivergence(0)
    with pytest.raises(ValueError, match=r"`num_steps`.*=0"):
        energies.SinkhornDivergence(num_steps=0)
