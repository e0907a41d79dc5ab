"""The inverse multiquadric kernel."""

import math

import keras
import numpy as np
from keras import ops

from keras_drift import checks
from keras_drift.kernels.kernel import Kernel


@keras.saving.register_keras_serializable("keras_drift")
class InverseMultiquadric(Kernel):
    """Inverse multiquadric kernel: `(1 + r**2)**-exponent`.

    Here `r = distance / bandwidth`. It has the heaviest tail of all kernels:
    even a sample a hundred bandwidths away is attracted. Choose it where
    generated samples start far from the data and no single bandwidth fits.

    Args:
        bandwidth: float > 0, or a sequence of them, in the units of the inputs;
            or `"auto"`, see `Kernel`. Defaults to `1.0`.
        exponent: float > 0. The classical inverse multiquadric `1/sqrt(1+r**2)`
            is `0.5`; its tail is so heavy that neither its companion kernel
            (which needs `exponent > 1`) nor its integral over space (which
            needs `exponent > dim / 2`) is finite. Defaults to `1.5`, where both
            are, up to two dimensions.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        x: float tensor `(..., n, d)`.
        y: float tensor `(..., m, d)`.

    Returns:
        Log-similarities, float32: `(..., n, m)` for a single bandwidth,
        `(b, ..., n, m)` for `b` bandwidths.

    Example:

    >>> from keras_drift import kernels
    >>> kernel = kernels.InverseMultiquadric(exponent=0.5)
    >>> x, y = np.zeros((1, 1)), np.array([[np.sqrt(3.0)]])
    >>> round(float(np.exp(kernel(x, y)[0, 0])), 4)  # 1 / sqrt(1 + 3)
    0.5
    """

    family = "inverse_multiquadric"

    def __init__(self, bandwidth=1.0, exponent=1.5, **kwargs):
        super().__init__(bandwidth, **kwargs)
        self.exponent = checks.positive_number("exponent", exponent)

    def log_value(self, radius):
        # Far beyond 1 the square would overflow float32; the log does not.
        far = 1e8
        near = ops.log1p(ops.square(ops.minimum(radius, far)))
        log_square = ops.where(
            radius < far, near, 2 * ops.log(ops.maximum(radius, far))
        )
        return -self.exponent * log_square

    def log_slope(self, radius):
        log_square = self.log_value(radius) / -self.exponent
        factor = 2 * self.exponent
        return math.log(factor) - (self.exponent + 1) * log_square

    def log_companion(self, radius):
        self._require_companion()
        log_square = self.log_value(radius) / -self.exponent
        factor = 2 * (self.exponent - 1)
        return (1 - self.exponent) * log_square - math.log(factor)

    def spectrum(self, frequency, dim):
        return _power_spectrum(self.exponent, frequency, dim)

    def companion_spectrum(self, frequency, dim):
        self._require_companion()
        factor = 2 * (self.exponent - 1)
        return _power_spectrum(self.exponent - 1, frequency, dim) / factor

    def formula_parameters(self):
        return {"exponent": float(self.exponent)}

    def get_config(self):
        return {**super().get_config(), "exponent": self.exponent}

    def _require_companion(self):
        if self.exponent <= 1:
            raise ValueError(
                "The companion of an inverse multiquadric, the integral of "
                "s k(s) from r to infinity, is finite only for an `exponent` "
                f"above 1. Received: exponent={self.exponent}"
            )


def _power_spectrum(exponent, frequency, dim):
    """The spectrum of `(1 + r**2)**-exponent`, as a mixture of Gaussians.

    `(1 + r**2)**-a` is the mean of `exp(-t (1 + r**2))` over a gamma law of `t`
    and the spectrum of each Gaussian is known. In `log t` the integrand falls
    double-exponentially on both sides, where the trapezoid rule converges to
    machine precision. At frequency zero the integral diverges once
    `exponent <= dim / 2`.
    """
    frequency = np.asarray(frequency, "float64")
    log_t, step = np.linspace(-60.0, 6.0, 6601, retstep=True)
    t = np.exp(log_t)
    power = exponent - dim / 2
    safe = np.where(frequency > 0, frequency, 1.0)[..., None]
    logs = power * log_t - t - np.square(safe) / (4 * t)
    scale = math.pi ** (dim / 2) / math.gamma(exponent)
    value = scale * step * np.sum(np.exp(logs), axis=-1)
    at_zero = scale * math.gamma(power) if power > 0 else np.inf
    return np.where(frequency > 0, value, at_zero)
