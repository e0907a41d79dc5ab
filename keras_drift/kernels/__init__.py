"""Radial kernels: how much a point at some distance counts."""

from keras_drift import checks
from keras_drift.kernels.gaussian import Gaussian
from keras_drift.kernels.inverse_multiquadric import InverseMultiquadric
from keras_drift.kernels.kernel import Kernel
from keras_drift.kernels.laplacian import Laplacian
from keras_drift.kernels.matern import Matern

__all__ = [
    "Gaussian",
    "InverseMultiquadric",
    "Kernel",
    "Laplacian",
    "Matern",
    "get",
]

_KERNELS = {
    "gaussian": Gaussian,
    "inverse_multiquadric": InverseMultiquadric,
    "laplacian": Laplacian,
    "matern": Matern,
}


def get(identifier):
    """Returns the kernel that a name, a config or a kernel stands for.

    Args:
        identifier: a `Kernel`, its config, or one of `"gaussian"`,
            `"laplacian"`, `"matern"`, `"inverse_multiquadric"` (with their
            default arguments).

    Returns:
        A `Kernel`.

    Example:

    >>> from keras_drift import kernels
    >>> kernels.get("laplacian").initial_bandwidth.tolist()
    1.0
    """
    return checks.lookup(identifier, _KERNELS, Kernel, "kernel")
