import numpy as np
import pytest
from keras import ops

from keras_drift import metrics


def distance(x, y, **kwargs):
    return float(metrics.sliced_wasserstein(x, y, **kwargs))


def by_hand(x, y, directions):
    """Repeats each sample until sizes agree, one direction at a time."""
    size = np.lcm(len(x), len(y))
    squares = []
    for direction in directions:
        u = sorted(float(np.dot(point, direction)) for point in x)
        v = sorted(float(np.dot(point, direction)) for point in y)
        u = [value for value in u for _ in range(size // len(u))]
        v = [value for value in v for _ in range(size // len(v))]
        squares.append(
            np.mean([(a - b) ** 2 for a, b in zip(u, v, strict=True)])
        )
    return np.sqrt(np.mean(squares))


def haar(num, dim):
    normal = np.random.default_rng(99).normal(size=(num, dim))
    return normal / np.linalg.norm(normal, axis=1, keepdims=True)


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    return rng.normal(size=(12, 3)), rng.normal(size=(8, 3)) * 2 + 1


def test_is_the_mean_over_all_directions(clouds):
    # By other directions than those of the library.
    expected = by_hand(*clouds, haar(4000, 3))
    assert distance(*clouds, num_projections=3000) == pytest.approx(
        expected, rel=0.02
    )


@pytest.mark.parametrize(("n", "m"), [(5, 5), (6, 4), (7, 3), (1, 9), (8, 2)])
def test_matches_quantiles_in_one_dimension(n, m):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, 1)), rng.normal(size=(m, 1)) + 0.5
    # Quantile functions on a grid so fine that it holds all of their steps.
    level = (np.arange(n * m) + 0.5) / (n * m)
    u = np.quantile(x, level, method="inverted_cdf")
    v = np.quantile(y, level, method="inverted_cdf")
    expected = np.sqrt(np.mean((u - v) ** 2))
    assert distance(x, y) == pytest.approx(expected, rel=1e-5)
    assert distance(x, y) == pytest.approx(by_hand(x, y, [[1.0]]), rel=1e-5)


def test_repeated_samples_change_nothing(clouds):
    x, y = clouds
    expected = distance(x, y)
    assert distance(np.repeat(x, 2, 0), np.repeat(y, 3, 0)) == pytest.approx(
        expected, rel=1e-5
    )


@pytest.mark.parametrize("dim", [2, 5, 64])
def test_translation_by_s_is_s_over_root_d(dim):
    rng = np.random.default_rng(0)
    x, shift = rng.normal(size=(10, dim)), rng.normal(size=dim)
    expected = np.linalg.norm(shift) / np.sqrt(dim)
    # Whole blocks of orthogonal directions: exact.
    assert distance(x, x + shift, num_projections=2 * dim) == pytest.approx(
        expected, rel=1e-4
    )
    assert distance(x, x + shift, num_projections=1000) == pytest.approx(
        expected, rel=0.05
    )


def test_scaling_of_gaussians_is_the_difference_of_widths():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20000, 2)), 3 * rng.normal(size=(20000, 2))
    assert distance(x, y) == pytest.approx(2, rel=0.02)


def test_is_symmetric(clouds):
    x, y = clouds
    assert distance(x, y) == pytest.approx(distance(y, x), rel=1e-5)


def test_is_zero_on_one_set_in_any_order(clouds):
    x, _ = clouds
    assert distance(x, x) == 0
    assert distance(x, x[::-1]) == pytest.approx(0, abs=1e-6)


def test_an_offset_of_both_sets_changes_nothing(clouds):
    x, y = clouds
    assert distance(x + 1024, y + 1024) == pytest.approx(
        distance(x, y), rel=1e-3
    )


def test_directions_depend_on_the_seed_alone(clouds):
    few = {"num_projections": 2}
    assert distance(*clouds, **few) == distance(*clouds, **few)
    assert distance(*clouds, **few) != distance(*clouds, seed=1, **few)


def test_directions_are_the_same_on_every_backend(clouds):
    # Stored from JAX; any backend must find the same number.
    value = distance(*clouds, num_projections=4, seed=7)
    assert value == pytest.approx(2.1607375, rel=1e-5)


def test_images_are_flattened():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 6, 4, 4, 1))
    assert distance(x, y) == distance(x.reshape(6, 16), y.reshape(6, 16))


def test_half_precision_gives_float32(clouds):
    x, y = (ops.cast(cloud, "float16") for cloud in clouds)
    value = metrics.sliced_wasserstein(x, y)
    assert ops.dtype(value) == "float32"
    assert float(value) == pytest.approx(distance(*clouds), rel=1e-2)


def test_refuses_zero_directions(clouds):
    with pytest.raises(ValueError, match="num_projections=0"):
        metrics.sliced_wasserstein(*clouds, num_projections=0)
    with pytest.raises(TypeError, match=r"num_projections=1\.5"):
        metrics.SlicedWasserstein(num_projections=1.5)


def test_refuses_samples_of_different_length():
    with pytest.raises(ValueError, match=r"x\.shape=\(3, 2\).*\(3, 4\)"):
        metrics.sliced_wasserstein(np.ones((3, 2)), np.ones((3, 4)))
