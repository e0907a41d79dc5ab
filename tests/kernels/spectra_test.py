"""Spectra of kernels and of their companions, against integrals."""

import numpy as np
import pytest
from scipy import integrate
from scipy import special

from keras_drift.kernels import InverseMultiquadric
from keras_drift.kernels import Matern
from kernel_cases import POLYNOMIALS
from kernel_cases import RADII
from kernel_cases import VALUES
from kernel_cases import bessel_matern
from kernel_cases import companion
from kernel_cases import each_kernel
from kernel_cases import make
from kernel_cases import matern
from kernel_cases import value

FREQUENCIES = (0.4, 2.7)


def fourier(radial, frequency, dim):
    """Of a radial function in `dim` dimensions, by quadrature."""
    if dim == 1:
        return (
            2
            * integrate.quad(radial, 0, np.inf, weight="cos", wvar=frequency)[0]
        )
    if dim == 3:
        half = integrate.quad(
            lambda r: r * radial(r), 0, np.inf, weight="sin", wvar=frequency
        )
        return 4 * np.pi / frequency * half[0]
    # Between the zeros of the Bessel function, the sign of a piece is fixed.
    zeros = np.append(0.0, special.jn_zeros(0, 80)) / frequency
    nodes, weights = np.polynomial.legendre.leggauss(40)
    low, high = zeros[:-1, None], zeros[1:, None]
    r = (high + low) / 2 + (high - low) / 2 * nodes
    values = r * radial(r) * special.j0(frequency * r)
    pieces = np.sum((high - low) / 2 * weights * values, axis=1)
    partial = np.cumsum(pieces)
    # The average of the last two partial sums of an alternating series.
    return 2 * np.pi * (partial[-1] + partial[-2]) / 2


@pytest.mark.parametrize("dim", [1, 2, 3])
@each_kernel
def test_spectrum_is_the_fourier_transform(name, dim):
    expected = [fourier(VALUES[name], f, dim) for f in FREQUENCIES]
    spectrum = make(name).spectrum(np.array(FREQUENCIES), dim)
    assert spectrum.dtype == "float64"
    np.testing.assert_allclose(spectrum, expected, rtol=1e-5)


COMPANIONS = {
    # By hand: the next Matern at the same `s`, and the antiderivatives.
    "gaussian": VALUES["gaussian"],
    "laplacian": matern(1.5, scale=1.0),
    "matern 0.5": matern(1.5, scale=1.0),
    "matern 1.5": matern(2.5, scale=np.sqrt(3)),
    "matern 2.5": matern(3.5, scale=np.sqrt(5)),
    "inverse multiquadric 2.5": lambda r: (1 + r**2) ** -1.5 / 3,
}


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("name", COMPANIONS)
def test_companion_spectrum_is_the_fourier_transform(name, dim):
    np.testing.assert_allclose(
        companion(name, RADII), COMPANIONS[name](RADII), rtol=3e-6
    )
    expected = [fourier(COMPANIONS[name], f, dim) for f in FREQUENCIES]
    spectrum = make(name).companion_spectrum(np.array(FREQUENCIES), dim)
    np.testing.assert_allclose(spectrum, expected, rtol=1e-4)


@pytest.mark.parametrize("name", [*COMPANIONS, "matern 3.5", "matern 4.5"])
def test_spectra_agree_with_each_other(name):
    # The transform of `z k = -grad psi`, its divergence taken on both sides:
    # `xi**2 psi^ = dim k^ + xi dk^/dxi`.
    kernel, dim = make(name), 3
    frequency, step = np.array([0.5, 1.5, 3.0]), 1e-4
    slope = kernel.spectrum(frequency + step, dim) - kernel.spectrum(
        frequency - step, dim
    )
    slope /= 2 * step
    left = -frequency * kernel.companion_spectrum(frequency, dim)
    np.testing.assert_allclose(left, slope, rtol=1e-6)


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("exponent", [0.3, 1.0, 1.5, 2.5])
def test_spectrum_of_the_inverse_multiquadric_is_a_bessel_function(
    exponent, dim
):
    frequency = np.array([1e-3, 0.1, 1.0, 10.0, 50.0])
    order = exponent - dim / 2
    expected = 2 * np.pi ** (dim / 2) / special.gamma(exponent)
    expected *= (frequency / 2) ** order * special.kv(order, frequency)
    kernel = InverseMultiquadric(exponent=exponent)
    np.testing.assert_allclose(
        kernel.spectrum(frequency, dim), expected, rtol=1e-9
    )
    above = InverseMultiquadric(exponent=exponent + 1)
    np.testing.assert_allclose(
        above.companion_spectrum(frequency, dim),
        expected / (2 * exponent),
        rtol=1e-9,
    )


@each_kernel
def test_spectrum_at_zero_is_the_integral_over_space(name):
    expected = 2 * integrate.quad(VALUES[name], 0, np.inf)[0]
    np.testing.assert_allclose(make(name).spectrum(0.0, 1), expected, rtol=1e-6)


def test_spectrum_at_zero_is_infinite_where_the_integral_diverges():
    kernel = InverseMultiquadric(exponent=0.5)
    assert kernel.spectrum(0.0, 1) == np.inf
    assert np.isfinite(kernel.spectrum(0.1, 1))


@pytest.mark.parametrize("nu", [0.5, 1.5, 2.5, 3.5, 4.5, 20.5])
def test_matern_companion_obeys_its_elliptic_equation(nu):
    # `(2 nu - Laplacian) psi = (2 nu + dim) k`, in frequency and in space.
    kernel, frequency = Matern(nu=nu), np.linspace(0, 5, 7)
    for dim in (1, 3, 8):
        np.testing.assert_allclose(
            (2 * nu + frequency**2) * kernel.companion_spectrum(frequency, dim),
            (2 * nu + dim) * kernel.spectrum(frequency, dim),
            rtol=1e-12,
        )
    if nu not in POLYNOMIALS:
        return
    # As `Laplacian psi = -(dim k + r k')`, the dimension drops out.
    name, r, step = f"matern {nu}", np.array([0.3, 1.0, 2.0, 4.0]), 0.01
    slope = (value(name, r + step) - value(name, r - step)) / (2 * step)
    np.testing.assert_allclose(
        2 * nu * companion(name, r) + r * slope,
        2 * nu * value(name, r),
        atol=2e-3,
    )


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_spectrum_at_a_large_nu_is_the_fourier_transform(dim):
    def kernel(r):
        return np.exp(bessel_matern(20.5, np.sqrt(41) * np.maximum(r, 1e-9)))

    expected = [fourier(kernel, f, dim) for f in FREQUENCIES]
    found = Matern(nu=20.5).spectrum(np.array(FREQUENCIES), dim)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
