import itertools

import numpy as np
import pytest

from keras_drift import drifts
from keras_drift import kernels
from keras_drift import spectral


def rejections(draw, num_pairs, num_points, num_permutations, drift=None):
    """The share of pairs told apart at the level of 5%: ours, the energy's."""
    rng = np.random.default_rng(0)
    found = []
    for seed in range(num_pairs):
        x, y = draw(rng, num_points)
        ours = spectral.two_sample_test(x, y, drift, num_permutations, seed)
        energy = energy_test(x, y, num_permutations, seed)
        found.append([ours.p_value <= 0.05, energy <= 0.05])
    return np.mean(found, axis=0)


def energy_test(x, y, num_permutations, seed):
    """The p-value of the energy distance, by itself."""
    pooled = np.concatenate([x, y])
    distances = np.linalg.norm(pooled[:, None] - pooled, axis=-1)
    rng = np.random.default_rng(seed)
    in_x = np.arange(len(pooled)) < len(x)
    values = []
    for turn in range(num_permutations + 1):
        split = rng.permutation(in_x) if turn else in_x
        signs = np.where(split, 1 / len(x), -1 / len(y))
        values.append(-signs @ distances @ signs)
    as_large = np.sum(np.array(values[1:]) >= values[0] - 1e-9)
    return (1 + as_large) / (1 + num_permutations)


def equal(rng, n):
    return rng.normal(size=(2, n, 2))


def checkerboard_and_square(rng, n):
    board = rng.uniform(0, 4, size=(20 * n, 2))
    board = board[np.floor(board).sum(axis=1) % 2 == 0][:n]
    return board, rng.uniform(0, 4, size=(n, 2))


def norm_by_hand(x, y, places, width):
    """The formula, one place at a time; shares no code with the drift."""

    def mean_near(place, cloud):
        k = np.exp(-np.linalg.norm(place - cloud, axis=1) / width)
        return np.average(cloud, axis=0, weights=k)

    velocity = [mean_near(at, x) - mean_near(at, y) for at in places]
    return np.sqrt(np.mean(np.sum(np.square(velocity), axis=1)))


# All tests share their shapes, 20 splits of 14 points in the plane: JAX
# compiles each operation once.
DRIFT = drifts.KernelDrift(kernels.Laplacian(0.6))


def test_statistic_is_the_norm_of_the_drift():
    x, y = np.random.default_rng(0).normal(size=(2, 8, 2))
    x = x[:6] + 0.5
    found = spectral.two_sample_test(x, y, DRIFT, 19)
    expected = norm_by_hand(x, y, np.concatenate([x, y]), 0.6)
    np.testing.assert_allclose(found.statistic, expected, rtol=1e-5)
    assert found.null.shape == (19,)
    as_large = 1 + np.sum(found.null >= found.statistic)
    assert found.p_value == as_large / 20


def test_null_is_the_norm_of_splits_of_the_same_sizes():
    pooled = np.random.default_rng(0).normal(size=(14, 2))
    found = spectral.two_sample_test(pooled[:2], pooled[2:], DRIFT, 19)
    norms = []
    for pair in itertools.combinations(range(14), 2):
        rest = np.delete(pooled, pair, axis=0)
        norms.append(norm_by_hand(pooled[list(pair)], rest, pooled, 0.6))
    gaps = np.abs(found.null[:, None] - norms).min(axis=1)
    np.testing.assert_allclose(gaps, 0, atol=1e-5)
    assert len(set(found.null.round(5))) > 5


def test_rejects_at_its_level():
    ours, _ = rejections(equal, 200, 7, 19, DRIFT)
    assert 0.01 <= ours <= 0.1


def test_rejects_what_differs():
    x, y = equal(np.random.default_rng(0), 7)
    assert spectral.two_sample_test(x, y + 4, DRIFT, 19).p_value == 0.05


def test_a_seed_makes_it_reproducible():
    x, y = equal(np.random.default_rng(0), 7)
    first, again, other = (
        spectral.two_sample_test(x, y, None, 19, seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.null, again.null)
    assert first.statistic == pytest.approx(other.statistic, rel=1e-5)
    assert np.any(first.null != other.null)


def test_identical_samples_are_not_told_apart():
    x = np.random.default_rng(0).normal(size=(7, 2))
    assert spectral.two_sample_test(x, x, DRIFT, 19).p_value == 1.0


@pytest.mark.slow
def test_level_is_exact_over_a_thousand_nulls():
    level, _ = rejections(equal, 1000, 20, 99)
    assert 0.035 <= level <= 0.065


@pytest.mark.slow
def test_sees_what_the_energy_distance_overlooks():
    # All pairs in one block: JAX compiles no loop.
    kernel = kernels.Laplacian(0.1)
    drift = drifts.KernelDrift(kernel, relative=True, block_size=200)
    ours, energy = rejections(checkerboard_and_square, 50, 100, 99, drift)
    assert ours > 0.7
    assert energy < 0.3


def test_refuses_what_it_cannot_use():
    x = np.zeros((5, 2))
    with pytest.raises(ValueError, match=r"x.shape=\(5, 2\), y.shape=\(5, 3\)"):
        spectral.two_sample_test(x, np.zeros((5, 3)))
    with pytest.raises(ValueError, match=r"`y\[:, None\]`"):
        spectral.two_sample_test(x, np.zeros(5))
    with pytest.raises(ValueError, match="num_permutations=0"):
        spectral.two_sample_test(x, x, num_permutations=0)


def test_finds_differences_far_from_the_origin():
    """In float32 all points at 1e8 were 8 apart, or in one place."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 40, 2))
    y += 3.0
    for test in (
        spectral.two_sample_test,
        spectral.classifier_two_sample_test,
    ):
        near = test(x, y, num_permutations=19)
        far = test(x + 1e8, y + 1e8, num_permutations=19)
        assert far.statistic == pytest.approx(near.statistic, rel=1e-4)
        assert far.p_value == near.p_value == 0.05


def test_directions_keep_their_origin():
    x, y = np.random.default_rng(0).normal((9, 7), 0.1, (2, 20, 2))
    drift = drifts.KernelDrift(kernels.VonMisesFisher())
    found = [
        spectral.two_sample_test(x + s, y + s, drift, 3).statistic
        for s in (0.0, [4.0, -6.0])
    ]
    assert found[0] != pytest.approx(found[1], rel=0.1)
