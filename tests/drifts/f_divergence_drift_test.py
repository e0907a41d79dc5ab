import numpy as np
import pytest

import contracts
from keras_drift import kernels
from keras_drift.drifts import FDivergenceDrift
from keras_drift.drifts import KernelDrift

# `tests/ops/divergences_test.py` knows all of them.
WEIGHTS = {
    "jensen_shannon": lambda u: 1 / (2 * (1 + u)),
    "neyman": lambda u: u**-2,
    2.3: lambda u: u**1.3,
}
WIDTHS = (0.6, 1.7)


def velocity(divergence, *clouds, bandwidth=WIDTHS, weights=None, **options):
    options = {"kernel": kernels.Gaussian(bandwidth), "clip": 1e6, **options}
    drift = contracts.in_one_program(FDivergenceDrift(divergence, **options))
    return contracts.numpy(drift(*clouds, **(weights or {})))


def near(point, cloud, counts, width):
    """The mean of the points nearby, and their mean similarity."""
    r = np.linalg.norm(cloud - point, axis=-1)
    k = counts * np.exp(-(r**2) / (2 * width**2))
    return k @ cloud / k.sum(), k.sum() / counts.sum()


def by_hand(weight, x, y, z, a, b, excluded=False, clip=1e6):
    """Section 5 of papers.md, one sample at a time."""
    total = 0.0
    for width in WIDTHS:
        steps = []
        for i, point in enumerate(x):
            others = b * (np.arange(len(z)) != i) if excluded else b
            toward, p = near(point, y, a, width)
            away, q = near(point, z, others, width)
            w = np.clip(weight(q / p), 1 / clip, clip)
            steps.append(w * (toward - away))
        total += np.array(steps) / len(WIDTHS)
    return total


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(size, 2)) for size in (5, 7, 6)]


@pytest.mark.parametrize("divergence", WEIGHTS)
def test_matches_the_formula(clouds, divergence):
    x, y, _ = clouds
    rng = np.random.default_rng(1)
    a, b = rng.uniform(0.5, 2, 7), rng.uniform(0.5, 2, 6)
    weight = WEIGHTS[divergence]
    found = velocity(
        divergence,
        *clouds,
        weights={"positive_weights": a, "negative_weights": b},
    )
    expected = by_hand(weight, *clouds, a, b)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

    ones = np.ones(7), np.ones(5)
    expected = by_hand(weight, x, y, x, *ones, excluded=True)
    found = velocity(divergence, x, y)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_mixture_is_the_sum_of_its_shares(clouds):
    shares = {"kl_pq": 0.25, "chi2": 0.75}
    expected = sum(s * velocity(d, *clouds) for d, s in shares.items())
    np.testing.assert_allclose(
        velocity(shares, *clouds), expected, rtol=1e-4, atol=1e-5
    )


def test_kl_qp_is_the_kernel_drift(clouds):
    kernel = KernelDrift(kernels.Laplacian(WIDTHS))
    found = velocity("kl_qp", *clouds, kernel=kernels.Laplacian(WIDTHS))
    expected = contracts.numpy(contracts.in_one_program(kernel)(*clouds))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("clip", [1.0, 1.5])
def test_weights_are_clipped(clouds, clip):
    ones = np.ones(7), np.ones(6)
    expected = by_hand(WEIGHTS["neyman"], *clouds, *ones, clip=clip)
    found = velocity("neyman", *clouds, clip=clip)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(found - velocity("neyman", *clouds)).max() > 1e-2


@pytest.mark.parametrize(
    ("divergence", "expected"), [("kl_pq", 10), ("chi2", 0.1), ("kl_qp", 1)]
)
def test_a_lone_sample_is_where_the_model_is_missing(divergence, expected):
    drift = FDivergenceDrift(divergence)
    x, y = np.zeros((1, 2)), np.array([[1.0, 2.0]])
    found = contracts.numpy(drift(x, y))
    np.testing.assert_allclose(found, expected * y, rtol=1e-5)


def test_the_ratio_of_gaussian_densities_is_estimated():
    # Papers, 5.2; both smoothed by the kernel, and its closed form.
    from scipy import stats

    quantiles = stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
    x, width = np.linspace(-1.5, 1.5, 7), 0.6
    p = stats.norm(1.0, np.hypot(0.7, width))
    q = stats.norm(-0.5, np.hypot(1.2, width))
    log_kernels = [(d.mean() - x) / d.var() for d in (p, q)]
    expected = (
        width**2 * q.pdf(x) / p.pdf(x) * (log_kernels[0] - log_kernels[1])
    )
    found = velocity(
        "chi2",
        x[:, None],
        (1.0 + 0.7 * quantiles)[:, None],
        (-0.5 + 1.2 * quantiles)[:, None],
        bandwidth=width,
    )
    np.testing.assert_allclose(found[:, 0], expected, rtol=5e-3, atol=1e-3)


def test_random_samples_give_the_ratio_within_a_few_percent():
    rng = np.random.default_rng(0)
    width, count = 0.5, 2000
    q_samples = rng.normal(size=(count, 2))
    p_samples = 0.5 + 1.2 * rng.normal(size=(count, 2))
    ratio = density(q_samples, 0.0, 1 + width**2) / density(
        q_samples, 0.5, 1.2**2 + width**2
    )
    plain, weighted = (
        velocity(d, q_samples, p_samples, bandwidth=width)
        for d in ("kl_qp", "chi2")
    )
    found = np.linalg.norm(weighted, axis=1) / np.linalg.norm(plain, axis=1)
    assert np.median(np.abs(found / ratio - 1)) < 0.05


def density(x, mean, variance):
    return np.exp(-np.sum((x - mean) ** 2, axis=1) / (2 * variance)) / variance


def test_config_keeps_the_divergence_as_given():
    for divergence in ({"kl_pq": 0.5, "chi2": 0.5}, 0.3, "neyman"):
        drift = FDivergenceDrift(divergence, clip=7)
        copy = contracts.copy_of(drift)
        assert copy.get_config()["divergence"] == divergence
        assert copy.clip == 7


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"divergence": "chi"}, ValueError, r"Did you mean 'chi2'\?"),
        ({"clip": 0.5}, ValueError, r"at least 1. Received: clip=0.5"),
        ({"clip": "no"}, TypeError, r"`clip`.*clip='no'"),
    ],
)
def test_bad_arguments(options, error, message):
    with pytest.raises(error, match=message):
        FDivergenceDrift(**options)
