import numpy as np
import pytest

import contracts
from keras_drift import kernels
from keras_drift.drifts import MMDDrift

KERNELS = {
    "gaussian": (kernels.Gaussian, {}, lambda r: np.exp(-(r**2) / 2)),
    "matern": (
        kernels.Matern,
        {"nu": 2.5},
        lambda r: (1 + 5**0.5 * r + 5 * r**2 / 3) * np.exp(-(5**0.5) * r),
    ),
    "laplacian": (kernels.Laplacian, {}, lambda r: np.exp(-r)),
    "inverse_multiquadric": (
        kernels.InverseMultiquadric,
        {"exponent": 1.5},
        lambda r: (1 + r**2) ** -1.5,
    ),
}


def velocity(kernel, *clouds, weights=(), **options):
    drift = contracts.in_one_program(MMDDrift(kernel, **options))
    return contracts.numpy(drift(*clouds))


def distances(x, y):
    return np.linalg.norm(x[:, None] - y[None], axis=-1)


def half_squared_mmd(k, x, y, included):
    """Gretton et al., 2012: the V-statistic, or the U-statistic in x."""
    n = len(x)
    own = k(distances(x, x))
    if included:
        own = np.sum(own) / n**2
    else:
        own = (np.sum(own) - np.trace(own)) / (n * (n - 1))
    other = k(distances(x, y))
    return 0.5 * (own - 2 * np.mean(other) + np.mean(k(distances(y, y))))


def flow(function, x, step=1e-6):
    """`-n dF/dx_i`, by finite differences."""
    found = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[index] += sign * step
            ends.append(function(moved))
        found[index] = -len(x) * (ends[0] - ends[1]) / (2 * step)
    return found


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    return rng.normal(size=(5, 2)), rng.normal(size=(7, 2)) + 0.5


@pytest.mark.parametrize(
    ("name", "own"),
    [*((name, "included") for name in KERNELS), ("gaussian", "excluded")],
)
def test_is_the_flow_of_half_the_squared_discrepancy(clouds, name, own):
    x, y = clouds
    cls, arguments, profile = KERNELS[name]
    expected = 0.0
    widths = (0.6, 1.7)
    for width in widths:
        energy = flow(
            lambda x, width=width: half_squared_mmd(
                lambda r: profile(r / width), x, y, own == "included"
            ),
            x,
        )
        expected += width**2 * energy / len(widths)
    kernel = cls(**arguments, bandwidth=widths)
    found = velocity(kernel, x, y, self_interaction=own)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_exclusion_makes_the_repulsion_that_of_the_others(clouds):
    x, y = clouds
    # What attracts is the difference of these two and all of them repel.
    parts = [
        velocity("gaussian", x, y, self_interaction=own)
        - velocity("gaussian", x, y, np.full((1, 2), 1e4))
        for own in ("included", "excluded")
    ]
    np.testing.assert_allclose(parts[1], 5 / 4 * parts[0], atol=1e-5)


@pytest.mark.parametrize(
    ("kernel", "gain"),
    [
        (kernels.Gaussian(1e4), 1),
        (kernels.Matern(1e6, nu=1.5), 3),
        (kernels.Matern(1e4, nu=3.5), 7 / 5),
        (kernels.InverseMultiquadric(1e4, exponent=1.5), 3),
    ],
)
def test_a_wide_kernel_takes_its_share_of_a_step_to_the_mean(
    clouds, kernel, gain
):
    x, y = clouds
    step = gain * (y.mean(axis=0) - x.mean(axis=0))
    found = velocity(kernel, x, y, self_interaction="included")
    np.testing.assert_allclose(found, [step] * 5, rtol=1e-4, atol=1e-5)


def test_gaussians_are_known_in_closed_form():
    # Quantiles in place of random samples: no noise.
    from scipy import stats

    quantiles = stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
    x, width = np.linspace(-1.5, 1.5, 7), 0.6

    def pull(mean, std):
        # k * p is a Gaussian of the summed variance.
        total = std**2 + width**2
        density = np.exp(-((x - mean) ** 2) / (2 * total))
        return width**3 / total**1.5 * (mean - x) * density

    expected = pull(1.0, 0.7) - pull(-0.5, 1.2)
    found = velocity(
        kernels.Gaussian(width),
        x[:, None],
        (1.0 + 0.7 * quantiles)[:, None],
        (-0.5 + 1.2 * quantiles)[:, None],
    )
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-3)


def test_a_pair_around_one_positive_settles_at_log_two():
    # Papers, 11: forces `exp(-r / t) (y - x)`, a third of the slope of a Matern
    # kernel.
    width = 0.7
    half = width * np.log(2)
    kernel = kernels.Matern(3**0.5 * width, nu=1.5)
    drift = contracts.in_one_program(MMDDrift(kernel))
    for factor in (0.5, 1.0, 2.0):
        a = factor * half
        found = contracts.numpy(drift(np.array([[a], [-a]]), np.zeros((1, 1))))
        near = np.exp(-a / width)
        np.testing.assert_allclose(
            found[:, 0],
            3 * a * near * (2 * near - 1) * np.array([1, -1]),
            atol=1e-6,
        )


def test_a_sample_out_of_reach_stays(clouds):
    _, y = clouds
    found = velocity("gaussian", np.array([[100.0, 0.0]]), y)
    np.testing.assert_array_equal(found, 0)


def test_kernel_is_checked():
    with pytest.raises(ValueError, match=r"Unknown kernel 'gauss'.*gaussian"):
        MMDDrift("gauss")
