import numpy as np
import pytest
from scipy import stats

from keras_drift import metrics


def distance(x, y):
    return float(metrics.energy_distance(x, y))


def by_hand(x, y):
    def mean_distance(first, second):
        return np.mean([np.linalg.norm(a - b) for a in first for b in second])

    return np.sqrt(
        2 * mean_distance(x, y) - mean_distance(x, x) - mean_distance(y, y)
    )


def clouds(dim):
    rng = np.random.default_rng(dim)
    return rng.normal(size=(7, dim)), rng.normal(size=(5, dim)) + 0.5


# Distances take another path in many dimensions.
@pytest.mark.parametrize("dim", [1, 3, 50])
def test_matches_the_formula(dim):
    x, y = clouds(dim)
    assert distance(x, y) == pytest.approx(by_hand(x, y), rel=1e-4)


def test_matches_scipy_in_one_dimension():
    x, y = clouds(1)
    expected = stats.energy_distance(x[:, 0], y[:, 0])
    assert distance(x, y) == pytest.approx(expected, rel=1e-4)


def test_of_two_points_is_the_root_of_twice_their_distance():
    assert distance([[0.0, 0.0]], [[3.0, 4.0]]) == pytest.approx(np.sqrt(10))


def test_is_symmetric():
    x, y = clouds(3)
    assert distance(x, y) == pytest.approx(distance(y, x), rel=1e-4)


@pytest.mark.parametrize("dim", [3, 50])
def test_is_zero_on_one_set(dim):
    x, _ = clouds(dim)
    assert distance(x, x) == 0
    assert distance(x, x[::-1]) == pytest.approx(0, abs=2e-2)


def test_repeated_samples_change_nothing():
    x, y = clouds(3)
    assert distance(np.repeat(x, 2, 0), y) == pytest.approx(
        distance(x, y), rel=1e-4
    )


def test_scales_with_the_root_of_length():
    x, y = clouds(3)
    assert distance(9 * x, 9 * y) == pytest.approx(3 * distance(x, y), rel=1e-4)
