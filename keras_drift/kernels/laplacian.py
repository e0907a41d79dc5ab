"""The Laplacian kernel."""

import keras

from keras_drift.kernels.matern import Matern


@keras.saving.register_keras_serializable("keras_drift")
class Laplacian(Matern):
    """Laplacian kernel: `exp(-r)`, for `r = distance / bandwidth`.

    Its tail is heavier than the Gaussian's, so a sample far from all data is
    still attracted, and its spectrum decays slowly because of its cusp at zero,
    so it resolves fine detail. The kernel to start with. It is the `Matern`
    kernel of `nu=0.5`.

    Args:
        bandwidth: float > 0, or a sequence of them, in the units of the inputs:
            the distance at which the similarity has fallen to `1/e`. Schedules
            may change it during training. Or `"auto"`, see `Kernel`. Defaults
            to `1.0`.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        x: float tensor `(..., n, d)`.
        y: float tensor `(..., m, d)`.

    Returns:
        Log-similarities, float32: `(..., n, m)` for a single bandwidth,
        `(b, ..., n, m)` for `b` bandwidths. `0` where the points coincide, `-1`
        at a distance of one bandwidth.

    Example:

    >>> from keras_drift import kernels
    >>> kernel = kernels.Laplacian(bandwidth=2.0)
    >>> x, y = np.zeros((1, 2)), np.array([[3.0, 4.0]])  # 5 apart
    >>> float(kernel(x, y)[0, 0])
    -2.5

    Reference:

    - [Deng et al., 2026](https://arxiv.org/abs/2602.04770)
    """

    family = "laplacian"

    def __init__(self, bandwidth=1.0, **kwargs):
        super().__init__(bandwidth, nu=0.5, **kwargs)

    def formula_parameters(self):
        return {}

    def _at(self, function, rate, distance):
        if getattr(function, "__func__", None) is Matern.log_value:
            return distance * -rate  # one pass over the pairs, not two
        return super()._at(function, rate, distance)

    def get_config(self):
        config = super().get_config()
        del config["nu"]  # fixed
        return config
