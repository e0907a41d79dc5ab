import numpy as np
import pytest
from scipy import stats

from keras_drift import datasets

pytestmark = pytest.mark.backend_free

NAMES = sorted(datasets.TOYS)
NOISY = ["spirals", "swiss_roll", "two_moons"]


@pytest.mark.parametrize("name", NAMES)
def test_name_leads_to_the_function_of_that_name(name):
    assert datasets.TOYS[name] is getattr(datasets, name)


@pytest.mark.parametrize("name", NAMES)
def test_gives_points_of_the_plane_in_single_precision(name):
    points = datasets.TOYS[name](7, seed=0)
    assert points.shape == (7, 2)
    assert points.dtype == np.float32


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_points_and_other_seed_other_points(name):
    toy = datasets.TOYS[name]
    np.testing.assert_array_equal(toy(9, seed=3), toy(9, seed=3))
    assert np.all(toy(9, seed=3) != toy(9, seed=4))
    assert np.all(toy(9) != toy(9))


@pytest.mark.parametrize("name", NAMES)
def test_leaves_the_global_random_state_alone(name):
    before = np.random.get_state()[1].copy()
    datasets.TOYS[name](9, seed=0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("name", NAMES)
def test_fills_the_square_from_minus_two_to_two(name):
    points = datasets.TOYS[name](20_000, seed=0)
    # Five standard deviations of the noise beyond the edge.
    assert np.all(np.abs(points) < 2.25)
    assert np.all(np.ptp(points, axis=0) > 2)
    center = (points.min(axis=0) + points.max(axis=0)) / 2
    assert np.all(np.abs(center) < 0.5)


@pytest.mark.parametrize("name", NAMES)
def test_first_half_is_distributed_like_the_second(name):
    points = datasets.TOYS[name](4000, seed=5)
    for axis in range(2):
        first, second = np.split(points[:, axis], 2)
        assert stats.ks_2samp(first, second).pvalue > 1e-3


def test_checkerboard_fills_the_eight_dark_fields_alike():
    field = np.floor(datasets.checkerboard(8000, seed=0)).astype(int) + 2
    counts = np.zeros((4, 4), int)
    np.add.at(counts, tuple(field.T), 1)
    dark = np.indices((4, 4)).sum(axis=0) % 2 == 0
    assert np.all(counts[~dark] == 0)
    assert stats.chisquare(counts[dark]).pvalue > 1e-3


def test_checkerboard_is_uniform_within_a_field():
    within = datasets.checkerboard(8000, seed=0) % 1
    for axis in range(2):
        assert stats.kstest(within[:, axis], "uniform").pvalue > 1e-3


def test_swiss_roll_without_noise_is_a_spiral_of_growing_radius():
    x, y = datasets.swiss_roll(500, seed=0, noise=0.0).T.astype("float64")
    # The angle is proportional to the radius, up to full turns.
    angle = np.hypot(x, y) * 4.5 * np.pi / 2
    turns = (angle - np.arctan2(y, x)) / (2 * np.pi)
    np.testing.assert_allclose(turns, np.rint(turns), atol=1e-5)
    assert angle.min() > 1.5 * np.pi - 1e-5
    assert angle.max() < 4.5 * np.pi + 1e-5


def test_spirals_without_noise_are_two_arms_uniform_in_area():
    x, y = datasets.spirals(4000, seed=0, noise=0.0).T.astype("float64")
    radius = np.hypot(x, y)
    # The arms are half a turn apart.
    half_turns = (1.5 * np.pi * radius - np.arctan2(y, x)) / np.pi
    np.testing.assert_allclose(half_turns, np.rint(half_turns), atol=1e-4)
    odd = np.mean(np.rint(half_turns) % 2)
    assert abs(odd - 0.5) < 0.05
    assert stats.kstest(radius**2 / 4, "uniform").pvalue > 1e-3


def test_two_moons_without_noise_are_half_circles_that_face_each_other():
    points = datasets.two_moons(4000, seed=0, noise=0.0).astype("float64")
    center = np.array([-2 / 3, -1 / 3])
    on_upper = np.abs(np.hypot(*(points - center).T) - 4 / 3) < 1e-5
    on_lower = np.abs(np.hypot(*(points + center).T) - 4 / 3) < 1e-5
    assert np.all(on_upper ^ on_lower)
    assert abs(np.mean(on_upper) - 0.5) < 0.05
    assert points[on_upper, 1].min() > -1 / 3 - 1e-5
    assert points[on_lower, 1].max() < 1 / 3 + 1e-5


@pytest.mark.parametrize("name", NOISY)
def test_noise_is_the_standard_deviation_around_the_curve(name):
    toy = datasets.TOYS[name]
    offsets = toy(4000, seed=0, noise=0.3) - toy(4000, seed=0, noise=0.0)
    np.testing.assert_allclose(offsets.std(axis=0), 0.3, rtol=0.05)
    np.testing.assert_allclose(offsets.mean(axis=0), 0.0, atol=0.02)


def test_eight_gaussians_are_the_samples_of_the_ring():
    expected = datasets.GaussianMixture.ring(8).sample(50, seed=2)
    np.testing.assert_array_equal(
        datasets.eight_gaussians(50, seed=2), expected
    )


def test_twenty_five_gaussians_are_the_samples_of_the_grid():
    grid = datasets.GaussianMixture.grid(5)
    points = datasets.twenty_five_gaussians(5000, seed=2)
    np.testing.assert_array_equal(points, grid.sample(5000, seed=2))
    offsets = points[:, None] - grid.means
    nearest = np.hypot(*np.moveaxis(offsets, -1, 0)).argmin(axis=1)
    # Of means that are 0.9 apart, every sample is near one, all alike.
    assert stats.chisquare(np.bincount(nearest, minlength=25)).pvalue > 1e-3
    within = offsets[np.arange(5000), nearest]
    np.testing.assert_allclose(within.std(axis=0), 0.05, rtol=0.05)
    np.testing.assert_allclose(
        grid.means[[0, 1, 5]], [[-1.8, -1.8], [-0.9, -1.8], [-1.8, -0.9]]
    )


def test_pinwheel_has_five_bent_arms():
    points = datasets.pinwheel(20_000, seed=0).astype("float64") / 0.9
    radius = np.hypot(*points.T)
    outer = radius > 1.2
    # Straightened, the arms point in five directions a fifth of a turn apart.
    angle = np.arctan2(points[:, 1], points[:, 0]) - 0.25 * np.exp(radius)
    fifths = (5 * angle[outer] / (2 * np.pi)) % 5
    arm = np.rint(fifths).astype(int) % 5
    assert stats.chisquare(np.bincount(arm, minlength=5)).pvalue > 1e-3
    away = (fifths - np.rint(fifths)) * 2 * np.pi / 5 * radius[outer]
    np.testing.assert_allclose(away.std(), 0.1, rtol=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_names_a_number_of_samples_that_is_none(name):
    with pytest.raises(ValueError, match=r"`n`.*number of samples.*n=0"):
        datasets.TOYS[name](0)
    with pytest.raises(TypeError, match=r"`n`.*positive integer.*n=2\.5"):
        datasets.TOYS[name](2.5)


@pytest.mark.parametrize("name", NOISY)
def test_names_a_negative_noise(name):
    with pytest.raises(ValueError, match=r"standard deviation.*noise=-0\.1"):
        datasets.TOYS[name](3, noise=-0.1)


@pytest.mark.parametrize("name", [*NAMES, "digits"])
def test_seeds_that_are_none_name_the_argument(name):
    def draw(seed):
        toy = getattr(datasets, name)
        return toy(*(["test"] if name == "digits" else [10]), seed=seed)

    with pytest.raises(ValueError, match=r"`seed` must be.*seed=-1"):
        draw(-1)
    with pytest.raises(TypeError, match=r"`seed` must be.*seed='one'"):
        draw("one")
    draw(np.random.default_rng(0))
