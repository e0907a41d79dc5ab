"""Dispersion relation: the decay rate of each frequency."""

import math

import numpy as np
from keras import ops

from keras_drift import checks
from keras_drift import kernels

FIELDS = ("mean_shift", "score", "sharp")


def dispersion(kernel, frequencies, dim, field="mean_shift"):
    """Decay rate of the error at each frequency, for a kernel drift.

    Linearized about a locally flat density, every Fourier mode of the error
    decays independently: `error(t) = error(0) * exp(-rate * t)`. A training
    step of size `eta` advances `t` by `eta`. A mode of rate near 1 has decayed
    in a few steps; one of rate 1e-6 needs a million. Use it to see which
    details a kernel and a bandwidth can learn.

    Args:
        kernel: a `Kernel`, its name or its config, with its current bandwidth.
            A `spherical` one is refused.
        frequencies: float array >= 0, of any shape: angular frequencies in
            radians per unit of length, `2 pi / wavelength`.
        dim: int >= 1, the dimension of the samples.
        field: the drift. `"mean_shift"`: the mean of the positives near a
            sample minus that of the negatives, the default `KernelDrift`:
            `|xi|^2 companion^(xi) / kernel^(0)`, where `^` is the Fourier
            transform. `"score"`: the difference of the scores of the densities
            smoothed by the kernel, times `bandwidth**2`:
            `bandwidth^2 |xi|^2 kernel^(xi) / kernel^(0)`, the rate found in the
            literature. `"sharp"`: the mean shift divided by the mass of the
            companion in place of the kernel's, which is the score for the
            companion. For a Gaussian all three agree. Defaults to
            `"mean_shift"`.

    Returns:
        float64 NumPy array of rates per unit of time, in which a wide kernel
        moves samples by one full step. It is shaped like `frequencies`, with a
        leading axis of bandwidths if the kernel has several; a drift averages
        its bandwidths, so its rate is the mean over that axis, or the sum with
        its `bandwidth_weights`.

    Raises:
        ValueError: if a frequency is negative, or if the kernel has no such
            spectrum, as those of directions.

    Example:

    >>> from keras_drift import kernels, spectral
    >>> xi = [1.0, 10.0]  # coarse and fine
    >>> spectral.dispersion(kernels.Gaussian(1.0), xi, dim=1).round(4).tolist()
    [0.6065, 0.0]
    >>> spectral.dispersion("laplacian", xi, dim=1).round(4).tolist()
    [0.5, 0.0196]

    Reference:

    - [Turan et al., 2026](https://arxiv.org/abs/2603.09936)
    - [Franz et al., 2026](https://arxiv.org/abs/2604.06333)
    """
    kernel = kernel_of_space(kernel)
    bandwidth = ops.convert_to_numpy(kernel.bandwidth).astype("float64")
    return rates_at(kernel, bandwidth, frequencies, dim, field)


def kernel_of_space(kernel):
    """Resolves a kernel, which must be one of distances in space."""
    kernel = kernels.get(kernel)
    if kernel.spherical:
        raise ValueError(
            "Decay rates are those of plane waves in Euclidean space; a "
            "spherical kernel, which compares directions, has none. Use a "
            "`Gaussian` in place of a `VonMisesFisher` for bandwidths far "
            f"below 1. Received: kernel={type(kernel).__name__}"
        )
    return kernel


def dim_of_rates(kernel, dim):
    """The lowest dimension in which a kernel has the rates of dimension `dim`.

    Those of a Gaussian are the same in every dimension, while its spectrum
    leaves the range of float64 in many.
    """
    return 1 if isinstance(kernel, kernels.Gaussian) else dim


def rates_at(kernel, bandwidth, frequencies, dim, field):
    """`dispersion` at given bandwidths, an array whose axes come first."""
    frequencies = checked_frequencies(frequencies)
    checks.positive_integer("dim", dim)
    checks.choice("field", field, FIELDS)
    bandwidth = np.asarray(bandwidth, "float64")
    scaled = bandwidth.reshape(bandwidth.shape + (1,) * frequencies.ndim)
    scaled = scaled * frequencies
    try:
        share, mass = _spectrum_and_mass(kernel, scaled, dim, field)
    except OverflowError:
        mass = math.inf
    if not 0 < mass < math.inf:
        raise ValueError(
            f"The spectrum of `{type(kernel).__name__}` has no finite value at "
            "frequency zero: its mass is infinite, or leaves the range of "
            "float64 in so many dimensions. Use a `Gaussian`, whose rates are "
            "the same in every dimension, or give the `dim` of a projection "
            f"of the data to fewer of them. Received: dim={dim}"
        )
    return np.square(scaled) * share / mass


def checked_weights(weights, num_bandwidths):
    """Weights of bandwidths as a float64 array; by default those of a mean."""
    if weights is None:
        return np.full(num_bandwidths, 1.0 / num_bandwidths)
    values = np.asarray(weights, "float64")
    if values.shape != (num_bandwidths,):
        raise ValueError(
            "`weights` are numbers, one for each bandwidth. Received: "
            f"{values.size} weights, {num_bandwidths} bandwidths"
        )
    return values


def checked_frequencies(frequencies):
    """Frequencies as a float64 array, finite and not negative."""
    values = np.asarray(frequencies, "float64")
    if values.size == 0 or not np.all(np.isfinite(values) & (values >= 0)):
        raise ValueError(
            "`frequencies` are finite angular frequencies, zero or positive, "
            f"at least one. Received: frequencies={frequencies!r}"
        )
    return values


def _spectrum_and_mass(kernel, scaled, dim, field):
    """The spectrum in the numerator of the rate, and the denominator."""
    if field == "mean_shift":
        mass = kernel.spectrum(0.0, dim)
        return kernel.companion_spectrum(scaled, dim), float(mass)
    if field == "score":
        mass = kernel.spectrum(0.0, dim)
        return kernel.spectrum(scaled, dim), float(mass)
    # Normalized to 1 at coincident points, for a unit of one full step.
    top = ops.exp(kernel.log_companion(ops.zeros((), "float32")))
    mass = kernel.companion_spectrum(0.0, dim) / float(top)
    return kernel.companion_spectrum(scaled, dim), float(mass)
