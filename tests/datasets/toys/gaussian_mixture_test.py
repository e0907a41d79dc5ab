import numpy as np
import pytest
from scipy import integrate
from scipy import stats

from keras_drift.datasets import GaussianMixture

pytestmark = pytest.mark.backend_free


@pytest.fixture
def mixture():
    # Unequal everywhere, so that no two parts can be mistaken for each other.
    return GaussianMixture(
        means=[[-1.0, 0.5], [0.7, 1.0], [0.3, -1.5]],
        stds=[0.3, 0.5, 0.8],
        weights=[2.0, 1.0, 3.0],
    )


def grid(extent, num_points):
    axis = np.linspace(-extent, extent, num_points)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    return points, (axis[1] - axis[0]) ** 2


def test_density_integrates_to_one(mixture):
    points, area = grid(8.0, 400)
    mass = np.exp(mixture.log_density(points)).sum() * area
    assert mass == pytest.approx(1.0, abs=1e-9)


def test_density_of_one_dimension_integrates_to_one():
    mixture = GaussianMixture([[-2.0], [1.0]], [0.4, 0.9], [1, 4])
    mass, _ = integrate.quad(
        lambda x: np.exp(mixture.log_density([[x]]))[0], -12, 12
    )
    assert mass == pytest.approx(1.0, abs=1e-7)


def test_density_is_the_weighted_sum_of_normals(mixture):
    points = np.random.default_rng(0).normal(size=(20, 2))
    expected = sum(
        weight * stats.multivariate_normal(mean, std**2 * np.eye(2)).pdf(points)
        for mean, std, weight in zip(
            mixture.means, [0.3, 0.5, 0.8], [1 / 3, 1 / 6, 1 / 2], strict=True
        )
    )
    np.testing.assert_allclose(np.exp(mixture.log_density(points)), expected)


def test_density_and_score_are_double_precision(mixture):
    points = np.zeros((4, 2), "float32")
    assert mixture.log_density(points).shape == (4,)
    assert mixture.log_density(points).dtype == np.float64
    assert mixture.score(points).shape == (4, 2)
    assert mixture.score(points).dtype == np.float64


def test_score_is_the_gradient_of_the_log_density(mixture):
    points = np.random.default_rng(1).normal(size=(20, 2)) * 1.5
    step = 1e-5
    slopes = [
        (mixture.log_density(points + d) - mixture.log_density(points - d))
        / (2 * step)
        for d in step * np.eye(2)
    ]
    expected = np.stack(slopes, axis=-1)
    np.testing.assert_allclose(mixture.score(points), expected, atol=1e-7)


def test_score_far_away_is_that_of_the_widest_component(mixture):
    # Every density underflows to 0 here.
    far = np.array([[3000.0, -4000.0]])
    assert np.exp(mixture.log_density(far)) == 0
    assert np.all(np.isfinite(mixture.log_density(far)))
    expected = (mixture.means[2] - far) / 0.8**2
    np.testing.assert_allclose(mixture.score(far), expected)


def test_absent_component_changes_nothing(mixture):
    more = GaussianMixture(
        [*mixture.means, [0.0, 0.0]],
        [*mixture.stds, 0.1],
        [*mixture.weights, 0.0],
    )
    points = np.random.default_rng(2).normal(size=(20, 2))
    np.testing.assert_allclose(
        more.log_density(points), mixture.log_density(points)
    )
    np.testing.assert_allclose(more.score(points), mixture.score(points))


def test_samples_have_the_moments_of_the_mixture(mixture):
    samples = mixture.sample(200_000, seed=0)
    mean = mixture.weights @ mixture.means
    centered = mixture.means - mean
    covariance = np.einsum("k,ki,kj->ij", mixture.weights, centered, centered)
    covariance += (mixture.weights @ mixture.stds**2) * np.eye(2)
    np.testing.assert_allclose(samples.mean(axis=0), mean, atol=0.01)
    np.testing.assert_allclose(np.cov(samples.T), covariance, atol=0.02)


def test_samples_of_each_component_come_at_its_weight():
    mixture = GaussianMixture([[-5.0], [0.0], [5.0]], 0.1, [1, 2, 5])
    nearest = np.rint(mixture.sample(8000, seed=0)[:, 0] / 5).astype(int) + 1
    counts = np.bincount(nearest)
    assert stats.chisquare(counts, [1000, 2000, 5000]).pvalue > 1e-3


def test_same_seed_same_samples_in_single_precision(mixture):
    samples = mixture.sample(5, seed=1)
    assert samples.shape == (5, 2)
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples, mixture.sample(5, seed=1))
    assert np.all(samples != mixture.sample(5, seed=2))


def test_smoothed_density_is_the_mean_over_added_noise(mixture):
    points = np.random.default_rng(3).normal(size=(10, 2))
    noise = np.random.default_rng(4).normal(size=(100_000, 2))
    for point in points:
        near = np.exp(mixture.log_density(point + 0.6 * noise)).mean()
        smooth = np.exp(mixture.smoothed(0.6).log_density([point]))[0]
        assert smooth == pytest.approx(near, rel=0.05)


def test_smoothing_twice_is_smoothing_once_with_both(mixture):
    twice = mixture.smoothed(0.3).smoothed(0.4)
    once = mixture.smoothed(0.5)
    np.testing.assert_allclose(twice.stds, once.stds)
    np.testing.assert_array_equal(twice.weights, once.weights)


def test_smoothing_by_nothing_changes_nothing(mixture):
    np.testing.assert_array_equal(mixture.smoothed(0.0).stds, mixture.stds)


def test_smoothing_leaves_the_original_alone(mixture):
    before = mixture.stds.copy()
    mixture.smoothed(1.0)
    np.testing.assert_array_equal(mixture.stds, before)


def test_does_not_change_with_the_arrays_it_was_made_of():
    means, stds = np.zeros((2, 1)), np.ones(2)
    mixture = GaussianMixture(means, stds)
    means += 7.0
    stds += 7.0
    assert mixture.means.tolist() == [[0.0], [0.0]]
    assert mixture.stds.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("num_modes", [1, 4, 8])
def test_ring_spaces_its_modes_evenly(num_modes):
    ring = GaussianMixture.ring(num_modes, radius=3.0, std=0.2)
    assert ring.means.shape == (num_modes, 2)
    np.testing.assert_allclose(np.linalg.norm(ring.means, axis=1), 3.0)
    np.testing.assert_allclose(ring.weights, 1 / num_modes)
    np.testing.assert_allclose(ring.stds, 0.2)
    np.testing.assert_allclose(ring.means[0], [3.0, 0.0])
    # One step along the ring is the same rotation everywhere.
    position = ring.means @ np.array([1.0, 1.0j])
    turn = np.roll(position, -1) / position
    np.testing.assert_allclose(turn, np.exp(2j * np.pi / num_modes))


def test_names_means_that_are_not_points():
    with pytest.raises(ValueError, match=r"num_components, dim.*shape=\(3,\)"):
        GaussianMixture([1.0, 2.0, 3.0], 1.0)
    with pytest.raises(ValueError, match=r"`means`.*finite.*nan"):
        GaussianMixture([[np.nan]], 1.0)


def test_names_standard_deviations_that_cannot_be():
    with pytest.raises(ValueError, match=r"`stds`.*positive.*stds=0\.0"):
        GaussianMixture([[0.0]], 0.0)
    with pytest.raises(ValueError, match=r"`stds`.*2 means.*shape=\(3,\)"):
        GaussianMixture([[0.0], [1.0]], [1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match=r"`stds`.*finite.*stds=inf"):
        GaussianMixture([[0.0]], np.inf)


@pytest.mark.parametrize("weights", [[1.0, -0.5], [0.0, 0.0]])
def test_names_weights_that_cannot_be(weights):
    with pytest.raises(ValueError, match=r"`weights`.*weights=\["):
        GaussianMixture([[0.0], [1.0]], 1.0, weights)


def test_names_the_wrong_number_of_weights():
    with pytest.raises(ValueError, match=r"`weights`.*2 means.*shape=\(1,\)"):
        GaussianMixture([[0.0], [1.0]], 1.0, [1.0])


@pytest.mark.parametrize("method", ["log_density", "score"])
def test_names_points_of_another_dimension(mixture, method):
    with pytest.raises(ValueError, match=r"\(n, 2\).*x\.shape=\(5, 3\)"):
        getattr(mixture, method)(np.zeros((5, 3)))
    with pytest.raises(ValueError, match=r"\(n, 2\).*x\.shape=\(2,\)"):
        getattr(mixture, method)(np.zeros(2))


def test_names_a_wrong_bandwidth_radius_or_count(mixture):
    with pytest.raises(ValueError, match="bandwidth=-1"):
        mixture.smoothed(-1)
    with pytest.raises(ValueError, match="radius=0"):
        GaussianMixture.ring(radius=0)
    with pytest.raises(ValueError, match="num_modes=0"):
        GaussianMixture.ring(0)
    with pytest.raises(ValueError, match="n=0"):
        mixture.sample(0)
