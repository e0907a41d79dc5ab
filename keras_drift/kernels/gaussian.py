"""The Gaussian kernel."""

import keras
import numpy as np

from keras_drift.kernels.gaussian_profile import GaussianProfile


@keras.saving.register_keras_serializable("keras_drift")
class Gaussian(GaussianProfile):
    """Gaussian kernel: `exp(-r**2 / 2)`, for `r = distance / bandwidth`.

    Its mean-shift drift is exactly `bandwidth**2` times the difference of the
    scores of the smoothed densities. It is negligible beyond a few bandwidths,
    and errors finer than its bandwidth decay very slowly, so start wide and
    anneal (`callbacks.BandwidthAnnealing`).

    Args:
        bandwidth: float > 0, or a sequence of them, in the units of the inputs:
            the standard deviation; or `"auto"`, see `Kernel`. Defaults to
            `1.0`.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        x: float tensor `(..., n, d)`.
        y: float tensor `(..., m, d)`.

    Returns:
        Log-similarities, float32: `(..., n, m)` for a single bandwidth,
        `(b, ..., n, m)` for `b` bandwidths.

    Example:

    >>> from keras_drift import kernels
    >>> kernel = kernels.Gaussian(bandwidth=2.5)
    >>> x, y = np.zeros((1, 2)), np.array([[3.0, 4.0]])  # 5 apart
    >>> float(kernel(x, y)[0, 0])
    -2.0

    Reference:

    - [Turan et al., 2026](https://arxiv.org/abs/2603.09936)
    """

    family = "gaussian"

    def spectrum(self, frequency, dim):
        squared = np.square(np.asarray(frequency, "float64"))
        return (2 * np.pi) ** (dim / 2) * np.exp(-squared / 2)

    def companion_spectrum(self, frequency, dim):
        return self.spectrum(frequency, dim)
