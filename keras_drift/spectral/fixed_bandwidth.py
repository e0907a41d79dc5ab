"""The bandwidth of a kernel that stays constant in training."""

import numpy as np

from keras_drift import kernels
from keras_drift.spectral.dispersion import dim_of_rates
from keras_drift.spectral.dispersion import rates_at

_FREQUENCIES = 48
_BANDWIDTHS = 801


def fixed_bandwidth(kernel, dim, k_min, k_max, ratios=(1.0,), weights=None):
    """The bandwidth at which the slowest mode of a range decays fastest.

    A wide bandwidth removes fine errors slowly and a narrow one coarse errors;
    this one is the best compromise, `argmax_sigma min_k rate(sigma, k)`. For a
    Gaussian over a wide range it is close to `2 sqrt(log(k_max / k_min)) /
    k_max`, and for a single frequency `sqrt(2) / k`.

    Args:
        kernel: `Kernel`; its bandwidth is ignored.
        dim: int, the dimension of the samples.
        k_min: float > 0, the lowest frequency.
        k_max: float >= `k_min`, the highest one.
        ratios: float array, the bandwidths over the largest of them. Defaults
            to a single one.
        weights: floats >= 0, of the fields of the bandwidths. Defaults to
            `None`: their mean.

    Returns:
        `(bandwidth, rates)`: the largest bandwidth, and the rates at both ends
        over the largest rate that one bandwidth has at any frequency.
    """
    ratios = np.ravel(ratios)
    shares = np.ones(ratios.size) if weights is None else np.asarray(weights)
    shares = shares / shares.sum()
    peak = peak_frequency(kernel, dim)
    k = np.geomspace(k_min, k_max, _FREQUENCIES)
    # From the finest mode at the peak of the widest bandwidth, or beyond, to
    # the coarsest at that of the narrowest.
    largest = np.geomspace(0.5 / k_max, 2 / (k_min * ratios.min()), _BANDWIDTHS)
    largest = largest * peak
    widths = largest[:, None] * ratios
    logs = log_rates(kernel, widths[..., None] * k, dim)
    logs = logs - log_rates(kernel, np.asarray([peak]), dim)[0]
    rates = np.einsum("brk,r->bk", np.exp(logs), shares)
    best = rates.min(axis=1).argmax()
    return float(largest[best]), (float(rates[best, 0]), float(rates[best, -1]))


def peak_frequency(kernel, dim):
    """The bandwidth times frequency at which a mode decays fastest."""
    if isinstance(kernel, kernels.Matern):
        return float(np.sqrt(2 * kernel.nu / (kernel.nu + dim / 2)))
    u = np.geomspace(1e-2, 1e2, 4001)
    return float(u[log_rates(kernel, u, dim).argmax()])


def log_rates(kernel, u, dim):
    """Log-rates of the mean shift at `u = bandwidth * frequency`.

    Those of a Matern kernel are relative: in many dimensions its spectrum
    leaves the range of float64.
    """
    if isinstance(kernel, kernels.Matern):
        t = np.square(u) / (2 * kernel.nu)
        return np.log(t) - (kernel.nu + 1 + dim / 2) * np.log1p(t)
    dim = dim_of_rates(kernel, dim)
    rates = rates_at(kernel, 1.0, u, dim, "mean_shift")
    return np.log(np.maximum(rates, np.finfo("float64").tiny))
