import math

import numpy as np
import pytest

from keras_drift import kernels
from keras_drift.spectral.fixed_bandwidth import fixed_bandwidth
from keras_drift.spectral.fixed_bandwidth import peak_frequency


def gaussian_rate(s):
    return s * math.exp(-s / 2)


def laplacian_rate(s):
    """In two dimensions: `3 s (1 + s)^(-5/2)`."""
    return 3 * s * (1 + s) ** -2.5


RATES = {
    "gaussian": (kernels.Gaussian, gaussian_rate),
    "laplacian": (kernels.Laplacian, laplacian_rate),
}


def by_hand(rate, k_min, k_max, ratios, weights):
    """The best of many bandwidths, one frequency at a time."""
    best, best_rate = None, -1.0
    for width in np.geomspace(0.1 / k_max, 20 / k_min / min(ratios), 4000):
        slowest = min(
            sum(
                w * rate((width * r * k) ** 2)
                for r, w in zip(ratios, weights, strict=True)
            )
            for k in np.geomspace(k_min, k_max, 25)
        )
        if slowest > best_rate:
            best, best_rate = width, slowest
    return best


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize(
    ("ratios", "weights"),
    [((1.0,), (1.0,)), ((1.0, 0.25), (0.5, 0.5)), ((0.2, 1.0), (0.9, 0.1))],
)
def test_is_the_best_of_all_bandwidths(name, ratios, weights):
    cls, rate = RATES[name]
    expected = by_hand(rate, 0.8, 20.0, ratios, weights)
    found, _ = fixed_bandwidth(cls(3.0), 2, 0.8, 20.0, ratios, weights)
    assert found == pytest.approx(expected, rel=0.02)


def test_of_a_single_frequency_is_where_it_decays_fastest():
    found, rates = fixed_bandwidth(kernels.Gaussian(), 3, 4.0, 4.0)
    assert found == pytest.approx(2**0.5 / 4, rel=0.01)
    np.testing.assert_allclose(rates, 1, rtol=1e-3)


def test_of_a_laplacian_on_a_line_is_the_geometric_mean():
    # Its rate `2 s / (1 + s)^2` is the same for `s` and `1 / s`.
    found, rates = fixed_bandwidth(kernels.Laplacian(), 1, 0.5, 32.0)
    assert found == pytest.approx(1 / 4, rel=0.01)
    assert rates[0] == pytest.approx(rates[1], rel=0.02)


@pytest.mark.parametrize("name", RATES)
def test_both_ends_decay_equally_fast(name):
    cls, rate = RATES[name]
    width, rates = fixed_bandwidth(cls(), 2, 1.0, 40.0)
    assert rates[0] == pytest.approx(rates[1], rel=0.1)
    # In units of the largest rate.
    largest = max(rate(s) for s in np.geomspace(1e-2, 1e2, 4001))
    expected = [rate((width * k) ** 2) / largest for k in (1.0, 40.0)]
    np.testing.assert_allclose(rates, expected, rtol=1e-3)


def test_the_bandwidth_of_the_kernel_is_ignored_and_weights_have_no_unit():
    kernel, other = kernels.Gaussian(0.01), kernels.Gaussian([5.0, 1.0])
    arguments = (2, 1.0, 9.0, (1.0, 0.5))
    found = fixed_bandwidth(kernel, *arguments, (2.0, 6.0))
    assert found == fixed_bandwidth(other, *arguments, (1.0, 3.0))


@pytest.mark.parametrize("dim", [1, 5, 100])
def test_the_peak_of_a_matern_is_that_of_its_spectrum(dim):
    kernel = kernels.Matern(nu=2.5)
    u = np.geomspace(1e-2, 1e2, 4001)
    rates = u**2 * kernel.companion_spectrum(u, dim)
    assert peak_frequency(kernel, dim) == pytest.approx(
        u[rates.argmax()], rel=3e-3
    )


@pytest.mark.parametrize("cls", [kernels.Gaussian, kernels.Laplacian])
def test_many_dimensions_are_no_obstacle(cls):
    width, rates = fixed_bandwidth(cls(), 3072, 0.1, 0.4)
    assert 0 < width < 20
    assert 0.1 < min(rates) <= max(rates) <= 1
