import numpy as np
import pytest

import contracts
from keras_drift.drifts import EnergyDistanceDrift


def velocity(*clouds, **options):
    drift = contracts.in_one_program(EnergyDistanceDrift(**options))
    return contracts.numpy(drift(*clouds))


def by_hand(x, y, z, excluded=False):
    found = []
    for i, point in enumerate(x):
        others = [p for k, p in enumerate(z) if not (excluded and k == i)]
        found.append(mean_direction(point, y) - mean_direction(point, others))
    return np.array(found)


def mean_direction(point, cloud):
    steps = [p - point for p in cloud]
    units = [s / np.linalg.norm(s) if np.any(s) else 0 * s for s in steps]
    return np.mean(units, axis=0)


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    x, y, z = (rng.normal(size=(size, 2)) for size in (5, 7, 6))
    y[2] = x[3]
    return x, y, z


def test_matches_the_formula(clouds):
    x, y, z = clouds
    options = {"relative": False}
    np.testing.assert_allclose(
        velocity(*clouds, **options), by_hand(x, y, z), atol=1e-5
    )
    np.testing.assert_allclose(
        velocity(x, y, **options), by_hand(x, y, x, True), atol=1e-5
    )
    np.testing.assert_allclose(
        velocity(x, y, self_interaction="included", **options),
        by_hand(x, y, x),
        atol=1e-5,
    )


def test_is_the_flow_of_half_the_energy_distance(clouds):
    x, y, _ = clouds
    y = y + 0.1  # the distance has no slope where points coincide

    def half_energy(x):
        def mean(a, b):
            return np.mean(np.linalg.norm(a[:, None] - b[None], axis=-1))

        return mean(x, y) - 0.5 * mean(x, x) - 0.5 * mean(y, y)

    expected, step = np.zeros_like(x), 1e-6
    for index in np.ndindex(x.shape):
        moved = [x.copy(), x.copy()]
        moved[0][index] += step
        moved[1][index] -= step
        rise = half_energy(moved[0]) - half_energy(moved[1])
        expected[index] = -len(x) * rise / (2 * step)
    found = velocity(x, y, relative=False, self_interaction="included")
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_relative_velocities_count_in_mean_distances(clouds):
    x, y, z = clouds
    plain = velocity(*clouds, relative=False)
    pairs = [
        np.linalg.norm(x[:, None] - cloud[None], axis=-1) for cloud in (y, z)
    ]
    mean = np.mean(np.concatenate(pairs, axis=1))
    np.testing.assert_allclose(velocity(*clouds), mean * plain, rtol=1e-4)


def test_the_pull_does_not_fade_with_distance():
    x = np.array([[1e4, 0.0]])
    y = np.random.default_rng(0).normal(size=(7, 2))
    found = velocity(x, y, relative=False)
    np.testing.assert_allclose(found, [[-1, 0]], atol=1e-3)


def test_near_points_pull_as_exactly_as_far_ones():
    # Nearer than what float32 tells apart around their mean.
    x = np.array([[0.0, 0.0], [5.0, 0.0]])
    y = np.array([[1e-9, 0.0]])
    found = velocity(x - x.mean(0), y - x.mean(0), relative=False)
    assert np.all(np.isfinite(found))
    near = velocity(np.zeros((1, 2)), np.array([[3e-6, 4e-6]]), relative=False)
    np.testing.assert_allclose(near, [[0.6, 0.8]], rtol=1e-4)


@pytest.mark.parametrize("dim", [2, 12])
def test_coincident_points_do_not_pull(dim):
    x = np.random.default_rng(0).normal(size=(1, dim))
    found = velocity(np.repeat(x, 4, axis=0), x, relative=False)
    np.testing.assert_allclose(found, 0, atol=1e-3)


def test_has_no_bandwidth():
    drift = EnergyDistanceDrift()
    assert drift.bandwidth is None
    with pytest.raises(ValueError, match="has no bandwidth"):
        drift.anneal(1.0)
