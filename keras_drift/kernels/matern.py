"""The Matern kernel."""

import math

import keras
import numpy as np
from keras import ops

from keras_drift import checks
from keras_drift.kernels.kernel import Kernel
from keras_drift.ops import log_distance

# Up to here every term of the polynomials, of the companion as well, is either
# a normal float32 or below its rounding error.
_LARGEST_NU = 20.5


@keras.saving.register_keras_serializable("keras_drift")
class Matern(Kernel):
    """Matern kernel: between the Laplacian and the Gaussian in smoothness.

    At `s = sqrt(2 nu) * distance / bandwidth` it is a polynomial in `s` times
    `exp(-s)`, the form of scikit-learn, GPyTorch and the literature, where the
    bandwidth is called length scale. Bandwidths compare across `nu`: a large
    `nu` is nearly the Gaussian of the same bandwidth. The larger `nu`, the
    smoother the kernel and the faster its spectrum decays. Choose it for a
    smoother field than the Laplacian's that still resolves fine detail.

    Args:
        bandwidth: float > 0, or a sequence of them, in the units of the inputs;
            or `"auto"`, see `Kernel`. Defaults to `1.0`.
        nu: smoothness, a half-integer: `0.5` (the Laplacian), `1.5`, `2.5` and
            so on up to `20.5`. Defaults to `1.5`.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        x: float tensor `(..., n, d)`.
        y: float tensor `(..., m, d)`.

    Returns:
        Log-similarities, float32: `(..., n, m)` for a single bandwidth,
        `(b, ..., n, m)` for `b` bandwidths.

    Example:

    >>> from keras_drift import kernels
    >>> kernel = kernels.Matern(bandwidth=5.0, nu=1.5)
    >>> x, y = np.zeros((1, 2)), np.array([[3.0, 4.0]])  # 5 apart
    >>> round(float(kernel(x, y)[0, 0]), 4)  # log(1 + sqrt(3)) - sqrt(3)
    -0.727

    Reference:

    - [Rasmussen and Williams, 2006](https://gaussianprocess.org/gpml),
      section 4.2.1
    - [Lee and Chun, 2026](https://arxiv.org/abs/2604.24196)
    """

    family = "matern"

    def __init__(self, bandwidth=1.0, nu=1.5, **kwargs):
        super().__init__(bandwidth, **kwargs)
        if (
            not checks.is_number(nu)
            or not 0.5 <= nu <= _LARGEST_NU
            or nu % 1 != 0.5
        ):
            raise ValueError(
                f"`nu` must be a half-integer from 0.5 to {_LARGEST_NU}: there "
                "the kernel is a polynomial times an exponential. For a "
                f"smoother kernel use a `Gaussian`. Received: nu={nu!r}"
            )
        self.nu = float(nu)
        self._scale = math.sqrt(2 * self.nu)

    def log_value(self, radius):
        return _log_value(self.nu, self._scale * radius)

    def log_slope(self, radius):
        return _log_slope(self.nu, self._scale * radius)

    def log_gradient_weight(self, radius):
        return _log_gradient_weight(self.nu, self._scale * radius)

    def log_companion_weight(self, radius):
        return _log_companion_weight(self.nu, self._scale * radius)

    def log_companion(self, radius):
        return _log_companion(self.nu, self._scale * radius)

    def spectrum(self, frequency, dim):
        return self._spectrum(self.nu, frequency, dim)

    def companion_spectrum(self, frequency, dim):
        return self._spectrum(self.nu + 1, frequency, dim)

    def formula_parameters(self):
        return {"nu": self.nu}

    def get_config(self):
        return {**super().get_config(), "nu": self.nu}

    def _at(self, function, rate, distance):
        # Scaled once, not for every pair.
        formula = _FORMULAS.get(getattr(function, "__func__", None))
        if formula is None:
            return super()._at(function, rate, distance)
        return formula(self.nu, distance * (rate * self._scale))

    def _spectrum(self, order, frequency, dim):
        scaled = np.asarray(frequency, "float64") / self._scale
        return _matern_spectrum(order, scaled, dim) / self._scale**dim


def _log_value(nu, s):
    """`log(polynomial(s)) - s`."""
    if nu == 0.5:
        return -s
    # Subtracts `s` as rounded in `1 + s`, or the difference would be positive
    # where `1 + s` has rounded a small `s` up.
    more = 1.0 + s
    logs = ops.log(more) if nu == 1.5 else _log_polynomial(nu, s)
    return logs - (more - 1.0)


def _log_slope(nu, s):
    return _log_value(nu, s) + _log_gradient_weight(nu, s)


def _log_gradient_weight(nu, s):
    if nu == 0.5:
        return -log_distance(s)
    return _log_ratio(nu - 1, s) + math.log(nu / (nu - 1))


def _log_companion(nu, s):
    # As `d/ds` of the next Matern is `-s / (2 nu)` times this one.
    return _log_value(nu + 1, s)


def _log_companion_weight(nu, s):
    return _log_ratio(nu, s)


_FORMULAS = {
    Matern.log_value: _log_value,
    Matern.log_slope: _log_slope,
    Matern.log_gradient_weight: _log_gradient_weight,
    Matern.log_companion: _log_companion,
    Matern.log_companion_weight: _log_companion_weight,
}


def _log_polynomial(nu, s):
    """Log of the polynomial of degree `nu - 1/2` > 1, which is 1 at zero."""
    degree = int(nu - 0.5)
    scale = ops.maximum(s, 1.0)
    return ops.log(_scaled_polynomial(degree, s, scale)) + degree * ops.log(
        scale
    )


def _log_ratio(nu, s):
    """Log of the polynomial of `nu`, relative to that of `nu + 1`.

    Neither the exponentials nor the highest powers appear: they cancel, and at
    large distances their difference would have no digits left.
    """
    degree = int(nu - 0.5)
    if degree == 0:
        return -ops.log(1.0 + s)
    scale = ops.maximum(s, 1.0)
    ratio = _scaled_polynomial(degree, s, scale) / _scaled_polynomial(
        degree + 1, s, scale
    )
    return ops.log(ratio / scale)


def _scaled_polynomial(degree, s, scale):
    """`polynomial(s) / scale**degree`, where the power would overflow."""
    ratio, rest = s / scale, 1 / scale
    value = ops.ones_like(s) * _coefficient(degree, degree)
    factor = ops.ones_like(s)
    # Horner's rule, from the highest power down.
    for power in range(degree - 1, -1, -1):
        factor = factor * rest
        value = value * ratio + _coefficient(degree, power) * factor
    return value


def _coefficient(degree, power):
    """Coefficient of `s**power`; 1 for power 0."""
    i = degree - power
    factorial = math.factorial
    return (
        factorial(degree)
        / factorial(2 * degree)
        * factorial(degree + i)
        / (factorial(i) * factorial(degree - i))
        * 2**power
    )


def _matern_spectrum(nu, frequency, dim):
    """Fourier transform of `polynomial(|z|) exp(-|z|)`."""
    squared = np.square(np.asarray(frequency, "float64"))
    constant = math.exp(math.lgamma(nu + dim / 2) - math.lgamma(nu))
    constant *= 2**dim * math.pi ** (dim / 2)
    return constant * (1 + squared) ** -(nu + dim / 2)
