"""The kernels by name, and closed forms of them written by hand."""

import numpy as np
import pytest
from keras import ops
from scipy import special

import contracts
from keras_drift.kernels import Gaussian
from keras_drift.kernels import InverseMultiquadric
from keras_drift.kernels import Laplacian
from keras_drift.kernels import Matern

ALL = {
    "gaussian": (Gaussian, {}),
    "laplacian": (Laplacian, {}),
    **{
        f"matern {nu}": (Matern, {"nu": nu}) for nu in (0.5, 1.5, 2.5, 3.5, 4.5)
    },
    **{
        f"inverse multiquadric {exponent}": (
            InverseMultiquadric,
            {"exponent": exponent},
        )
        for exponent in (1.5, 2.5)
    },
}

# The polynomials of the Matern kernels, as the literature prints them, at
# `s = sqrt(2 nu) r` for `r` bandwidths.
POLYNOMIALS = {
    0.5: lambda s: 1.0,
    1.5: lambda s: 1 + s,
    2.5: lambda s: 1 + s + s**2 / 3,
    3.5: lambda s: 1 + s + 2 * s**2 / 5 + s**3 / 15,
    4.5: lambda s: 1 + s + 3 * s**2 / 7 + 2 * s**3 / 21 + s**4 / 105,
}


def matern(nu, scale=None):
    scale = np.sqrt(2 * nu) if scale is None else scale
    return lambda r: POLYNOMIALS[nu](scale * r) * np.exp(-scale * r)


# Closed forms, at `r` bandwidths.
VALUES = {
    "gaussian": lambda r: np.exp(-(r**2) / 2),
    "laplacian": lambda r: np.exp(-r),
    **{f"matern {nu}": matern(nu) for nu in POLYNOMIALS},
    "inverse multiquadric 1.5": lambda r: (1 + r**2) ** -1.5,
    "inverse multiquadric 2.5": lambda r: (1 + r**2) ** -2.5,
}

each_kernel = pytest.mark.parametrize("name", ALL)
RADII = np.array([1e-3, 0.1, 0.3, 1.0, 2.5, 6.0])


def make(name, **kwargs):
    cls, init_kwargs = ALL[name]
    return cls(**init_kwargs, **kwargs)


def value(name, radius):
    radius = ops.convert_to_tensor(radius, "float32")
    return np.exp(contracts.numpy(make(name).log_value(radius)).astype("d"))


def companion(name, radius):
    radius = ops.convert_to_tensor(radius, "float32")
    return np.exp(contracts.numpy(make(name).log_companion(radius)).astype("d"))


def bessel_matern(nu, s):
    """Log of the polynomial times `exp(-s)`, in float64."""
    constant = (1 - nu) * np.log(2) - special.gammaln(nu)
    return constant + nu * np.log(s) + np.log(special.kve(nu, s)) - s
