"""Radial kernels, evaluated in log space, with spectra and companions."""

from keras_drift import checks
from keras_drift.kernels.gaussian import Gaussian
from keras_drift.kernels.inverse_multiquadric import InverseMultiquadric
from keras_drift.kernels.kernel import Kernel
from keras_drift.kernels.laplacian import Laplacian
from keras_drift.kernels.matern import Matern
from keras_drift.kernels.spherical_logarithmic import SphericalLogarithmic
from keras_drift.kernels.von_mises_fisher import VonMisesFisher

__all__ = [
    "Gaussian",
    "InverseMultiquadric",
    "Kernel",
    "Laplacian",
    "Matern",
    "SphericalLogarithmic",
    "VonMisesFisher",
    "get",
]

_KERNELS = {
    "gaussian": Gaussian,
    "inverse_multiquadric": InverseMultiquadric,
    "laplacian": Laplacian,
    "matern": Matern,
    "spherical_logarithmic": SphericalLogarithmic,
    "von_mises_fisher": VonMisesFisher,
}


def get(identifier):
    """Resolves a name or a config to a kernel.

    Args:
        identifier: a `Kernel`, its config, or one of `"gaussian"`,
            `"laplacian"`, `"matern"`, `"inverse_multiquadric"`,
            `"von_mises_fisher"`, `"spherical_logarithmic"` (with their default
            arguments).

    Returns:
        A `Kernel`.

    Example:

    >>> from keras_drift import kernels
    >>> kernels.get("laplacian").initial_bandwidth.tolist()
    1.0
    """
    return checks.lookup(identifier, _KERNELS, Kernel, "kernel")
