import numpy as np
import pytest

from keras_drift import drifts
from keras_drift import kernels
from keras_drift import spectral

XI = np.array([0.3, 1.0, 2.5, 6.0])
WIDTH = 0.75  # a neutral 1 would hide a wrong power of the bandwidth

PROFILES = {
    "gaussian": (kernels.Gaussian(WIDTH), lambda r: np.exp(-r * r / 2)),
    "laplacian": (kernels.Laplacian(WIDTH), lambda r: np.exp(-r)),
    "matern": (kernels.Matern(WIDTH, nu=2.5), lambda r: _matern_5_2(r)),
    "inverse_multiquadric": (
        kernels.InverseMultiquadric(WIDTH, exponent=6.0),
        lambda r: (1 + r * r) ** -6.0,
    ),
}
each_kernel = pytest.mark.parametrize("name", PROFILES)
each_dim = pytest.mark.parametrize("dim", [1, 2])


def _matern_5_2(r):
    return (1 + 5**0.5 * r + 5 * r * r / 3) * np.exp(-(5**0.5) * r)


def integrals(profile, dim, functions):
    """Over space, by sums on a fine grid."""
    reach, spacing = 30 * WIDTH, 0.02 if dim == 1 else 0.05
    axis = np.arange(-reach, reach, spacing) + spacing / 2
    z = np.meshgrid(*[axis] * dim, indexing="ij")
    k = profile(np.sqrt(sum(np.square(part) for part in z)) / WIDTH)
    return [np.sum(k * function(z[0])) * spacing**dim for function in functions]


@each_kernel
@each_dim
def test_mean_shift_is_what_a_wave_does_to_the_mean(name, dim):
    # A sample where the wave `sin(xi y)` rises through 0 is pushed to
    # `-E[k y sin(xi y)] / E[k]`; the density changes by `xi` times that.
    kernel, profile = PROFILES[name]
    mass, *pushes = integrals(
        profile,
        dim,
        [
            np.ones_like,
            *(lambda y, xi=xi: y * np.sin(xi * y) for xi in XI),
        ],
    )
    found = spectral.dispersion(kernel, XI, dim)
    # The cusp of the Laplacian costs the grid its accuracy.
    np.testing.assert_allclose(found, XI * pushes / mass, rtol=3e-3)


@each_kernel
@each_dim
def test_score_is_the_kernels_own_spectrum(name, dim):
    kernel, profile = PROFILES[name]
    mass, *waves = integrals(
        profile,
        dim,
        [np.ones_like, *(lambda y, xi=xi: np.cos(xi * y) for xi in XI)],
    )
    expected = np.square(WIDTH * XI) * waves / mass
    found = spectral.dispersion(kernel, XI, dim, field="score")
    np.testing.assert_allclose(found, expected, rtol=5e-3)


@pytest.mark.parametrize("dim", [1, 2, 7])
def test_closed_forms(dim):
    t = np.square(WIDTH * XI)
    laplacian = kernels.Laplacian(WIDTH)
    np.testing.assert_allclose(
        spectral.dispersion(laplacian, XI, dim),
        (dim + 1) * t * (1 + t) ** (-(dim + 3) / 2),
    )
    np.testing.assert_allclose(
        spectral.dispersion(laplacian, XI, dim, "score"),
        t * (1 + t) ** (-(dim + 1) / 2),
    )
    for field in ("mean_shift", "score", "sharp"):
        np.testing.assert_allclose(
            spectral.dispersion(kernels.Gaussian(WIDTH), XI, dim, field),
            t * np.exp(-t / 2),
        )


@pytest.mark.parametrize("nu", [0.5, 1.5, 3.5])
def test_the_sharp_field_is_the_score_of_the_companion(nu):
    # The companion of Matern nu is Matern nu + 1 at the same `sqrt(2 nu) / b`.
    found = spectral.dispersion(kernels.Matern(WIDTH, nu=nu), XI, 2, "sharp")
    wider = ((nu + 1) / nu) ** 0.5
    companion = kernels.Matern(wider * WIDTH, nu=nu + 1)
    expected = spectral.dispersion(companion, XI, 2, "score") / wider**2
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("field", ["mean_shift", "score", "sharp"])
@pytest.mark.parametrize("dim", [1, 3])
def test_a_large_nu_has_the_rates_of_the_gaussian(field, dim):
    xi = np.linspace(0.1, 5, 20)
    gaussian = spectral.dispersion(kernels.Gaussian(WIDTH), xi, dim, field)
    errors = [
        spectral.dispersion(kernels.Matern(WIDTH, nu=nu), xi, dim, field)
        - gaussian
        for nu in (10.5, 20.5)
    ]
    # The error falls as one over nu.
    assert np.abs(errors[1]).max() < 0.6 * np.abs(errors[0]).max()
    assert np.abs(errors[1]).max() < 0.12 * gaussian.max()
    extrapolated = (20.5 * errors[1] - 10.5 * errors[0]) / 10
    assert np.abs(extrapolated).max() < 0.2 * np.abs(errors[1]).max()


def test_a_gaussian_peaks_at_root_two():
    xi = np.linspace(0, 5, 50_001)
    rates = spectral.dispersion(kernels.Gaussian(1.0), xi, 1)
    assert rates[0] == 0
    np.testing.assert_allclose(xi[rates.argmax()], np.sqrt(2), atol=1e-4)
    np.testing.assert_allclose(rates.max(), 2 / np.e)


def test_several_bandwidths_come_first():
    widths = [0.5, 2.0]
    found = spectral.dispersion(kernels.Gaussian(widths), XI.reshape(2, 2), 1)
    assert found.shape == (2, 2, 2)
    for width, rates in zip(widths, found, strict=True):
        alone = spectral.dispersion(kernels.Gaussian(width), XI, 1)
        np.testing.assert_allclose(rates.reshape(-1), alone)


def test_the_present_bandwidth_counts():
    kernel = kernels.Gaussian(1.0)
    kernel.bandwidth.assign(0.5)
    np.testing.assert_allclose(
        spectral.dispersion(kernel, XI, 1),
        spectral.dispersion(kernels.Gaussian(0.5), XI, 1),
    )


def test_refuses_what_it_cannot_use():
    with pytest.raises(ValueError, match="zero or positive"):
        spectral.dispersion("gaussian", [-1.0], 1)
    with pytest.raises(ValueError, match="Did you mean 'score'"):
        spectral.dispersion("gaussian", [1.0], 1, "scores")
    with pytest.raises(ValueError, match=r"range of float64.*dim=2000"):
        spectral.dispersion("gaussian", [1.0], 2000)
    with pytest.raises(ValueError, match="mass is infinite"):
        # A tail that falls no faster than space grows.
        spectral.dispersion(kernels.InverseMultiquadric(exponent=1.5), [1.0], 3)


@pytest.mark.parametrize("name", ["von_mises_fisher", "spherical_logarithmic"])
def test_a_kernel_of_directions_has_no_rates(name):
    kernel = kernels.get(name)
    for function in (
        lambda: spectral.dispersion(name, [1.0], 3),
        lambda: spectral.convergence_time(kernel, [1.0], 3),
        lambda: spectral.plan_annealing(k_min=1.0, k_max=9.0, kernel=name),
        lambda: spectral.plot_dispersion(kernel),
        lambda: spectral.measure_decay(drifts.KernelDrift(kernel), [1.0], 2),
    ):
        with pytest.raises(ValueError, match=r"plane waves.*Received: kernel="):
            function()
