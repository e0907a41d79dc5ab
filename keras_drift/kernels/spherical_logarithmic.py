"""The logarithmic kernel on the sphere."""

import keras
from keras import ops

from keras_drift.kernels.kernel import Kernel

# The kernel at the antipode, where its logarithm stays finite.
_LOWEST = 1e-30


@keras.saving.register_keras_serializable("keras_drift")
class SphericalLogarithmic(Kernel):
    """Logarithmic kernel on the unit sphere, which decays over all scales.

    `log((2 + e) / (1 - cos(angle) + e))` with `e = bandwidth**2 / 2`, divided
    by its value at angle zero. It decays evenly over all scales between the
    bandwidth and the antipode, where it is zero, so even a sample on the far
    side of the sphere is attracted. Choose it over `VonMisesFisher` where
    samples start far from the data.

    With `KernelDrift(normalization="score")` the drift follows the gradient of
    its log-density along the sphere. Its companion has no closed form here.

    Args:
        bandwidth: float > 0, or a sequence of them: the distance, for narrow
            ones the angle in radians, below which it is flat; or `"auto"`, see
            `Kernel`. Defaults to `0.1`.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        x: float tensor `(..., n, d)`, of any length but 0.
        y: float tensor `(..., m, d)`.

    Returns:
        Log-similarities, float32: `(..., n, m)` for a single bandwidth,
        `(b, ..., n, m)` for `b` bandwidths.

    Example:

    >>> from keras_drift import kernels
    >>> kernel = kernels.SphericalLogarithmic(bandwidth=2.0)
    >>> x, y = np.array([[1.0, 0.0]]), np.array([[0.0, 5.0]])  # a right angle
    >>> round(float(np.exp(kernel(x, y)[0, 0])), 4)  # log(4 / 3) / log(2)
    0.415

    Reference:

    - [Cao et al., 2026](https://arxiv.org/abs/2603.10592)
    """

    family = "spherical_logarithmic"
    spherical = True
    scales_distances = False

    def __init__(self, bandwidth=0.1, **kwargs):
        super().__init__(bandwidth, **kwargs)

    def log_similarity(self, distance):
        return ops.stack(
            [log_kernel(distance) for log_kernel in self.log_kernels()]
        )

    def _at(self, function, rate, distance):
        # The antipode is nearer, the wider the bandwidth.
        return function(distance * rate, 2.0 * rate)

    def log_value(self, radius, antipode):
        """`log k` at `radius` bandwidths; the antipode is `antipode` away."""
        squared = ops.square(antipode)
        value = self._value(radius, antipode) / ops.log1p(squared)
        return ops.log(ops.maximum(value, _LOWEST))

    def log_slope(self, radius, antipode):
        squared = ops.square(antipode)
        scale = 2 / ops.log1p(squared)
        return ops.log(scale) - ops.log1p(ops.square(radius))

    def log_companion(self, radius, antipode=None):
        del radius, antipode
        raise ValueError(
            "The companion of a `SphericalLogarithmic` kernel has no closed "
            "form. Take a `VonMisesFisher`, or, in a `KernelDrift`, "
            "normalization='score'."
        )

    def _value(self, radius, antipode):
        squared = ops.square(radius)
        beyond = ops.maximum(ops.square(antipode) - squared, 0.0)
        return ops.log1p(beyond / (1 + squared))

    def log_gradient_weight(self, radius, antipode):
        slope = self.log_slope(radius, antipode)
        return slope - self.log_value(radius, antipode)
