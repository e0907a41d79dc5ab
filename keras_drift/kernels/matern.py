"""The Matern kernels."""

import math

import keras
import numpy as np
from keras import ops

from keras_drift import checks
from keras_drift.kernels.kernel import Kernel
from keras_drift.ops import log_distance


@keras.saving.register_keras_serializable("keras_drift")
class Matern(Kernel):
    """Similarity between the Laplacian and the Gaussian in smoothness.

    A polynomial times `exp(-r)`: the larger `nu`, the rounder its top and the
    faster its spectrum falls. Choose it to trade the Laplacian's grip on fine
    detail for a smoother field.

    The argument is `r = distance / bandwidth`. Gaussian-process libraries
    write `sqrt(2 nu) * distance / length_scale`: to get theirs, give
    `bandwidth = length_scale / sqrt(2 nu)`.

    Args:
        bandwidth: float > 0, or a sequence of them, in the units of the inputs.
            Defaults to `1.0`.
        nu: smoothness, a half-integer: `0.5` (the Laplacian), `1.5`, `2.5`, ...
            Defaults to `1.5`.
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
    >>> round(float(kernel(x, y)[0, 0]), 4)  # log(2) - 1
    -0.3069

    Reference:

    - [Lee and Chun, 2026](https://arxiv.org/abs/2604.24196)
    """

    def __init__(self, bandwidth=1.0, nu=1.5, **kwargs):
        super().__init__(bandwidth, **kwargs)
        known = (0.5, 1.5, 2.5, 3.5, 4.5)
        if not checks.is_number(nu) or nu not in known:
            raise ValueError(
                "`nu` must be a half-integer from 0.5 to 4.5: there the kernel "
                f"is a polynomial times an exponential. Received: nu={nu!r}"
            )
        self.nu = float(nu)

    def log_value(self, radius):
        return _log_matern(self.nu, radius)

    def log_slope(self, radius):
        return self.log_value(radius) + self.log_gradient_weight(radius)

    def log_gradient_weight(self, radius):
        if self.nu == 0.5:
            return -log_distance(radius)
        # Without the exponentials, which cancel: far away they would leave
        # no digits.
        below = _log_polynomial(self.nu - 1, radius)
        here = _log_polynomial(self.nu, radius)
        return below - here - math.log(2 * (self.nu - 1))

    def log_companion_weight(self, radius):
        here = _log_polynomial(self.nu, radius)
        return here - _log_polynomial(self.nu + 1, radius)

    def log_companion(self, radius):
        return math.log(2 * self.nu) + _log_matern(self.nu + 1, radius)

    def spectrum(self, frequency, dim):
        return _matern_spectrum(self.nu, frequency, dim)

    def companion_spectrum(self, frequency, dim):
        return 2 * self.nu * _matern_spectrum(self.nu + 1, frequency, dim)

    def get_config(self):
        return {**super().get_config(), "nu": self.nu}


def _log_matern(nu, radius):
    """`log(polynomial(r)) - r`."""
    if nu == 0.5:
        return -radius
    return _log_polynomial(nu, radius) - radius


def _log_polynomial(nu, radius):
    """Of the polynomial of degree `nu - 1/2`, which is 1 at zero."""
    degree = int(nu - 0.5)
    if degree == 0:
        return ops.zeros_like(radius)
    if degree == 1:  # the companion of a Laplacian
        return ops.log(1.0 + radius)
    # Beyond 1 the highest power is taken out: far away it overflows float32.
    scale = ops.maximum(radius, 1.0)
    radius_part, rest = radius / scale, 1 / scale
    value = ops.ones_like(radius) * _coefficient(degree, degree)
    factor = ops.ones_like(radius)
    # Horner's rule, from the highest power down.
    for power in range(degree - 1, -1, -1):
        factor = factor * rest
        value = value * radius_part + _coefficient(degree, power) * factor
    return ops.log(value) + degree * ops.log(scale)


def _coefficient(degree, power):
    """Of `r**power` in the polynomial of the given degree; 1 for power 0."""
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
    squared = np.square(np.asarray(frequency, "float64"))
    constant = math.exp(math.lgamma(nu + dim / 2) - math.lgamma(nu))
    constant *= 2**dim * math.pi ** (dim / 2)
    return constant * (1 + squared) ** -(nu + dim / 2)
