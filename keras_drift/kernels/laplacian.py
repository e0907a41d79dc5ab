"""The Laplacian kernel."""

import keras

from keras_drift.kernels.matern import Matern


@keras.saving.register_keras_serializable("keras_drift")
class Laplacian(Matern):
    """Similarity that decays exponentially with distance: `exp(-r)`.

    Its tail is heavier than the Gaussian's, so a sample far from all data still
    feels a pull, and its sharp tip keeps hold of fine detail. The kernel to
    start with.

    Args:
        bandwidth: float > 0, or a sequence of them, in the units of the inputs:
            the distance at which the similarity has fallen to `1/e`. Schedules
            may change it during training. Defaults to `1.0`.
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

    def __init__(self, bandwidth=1.0, **kwargs):
        super().__init__(bandwidth, nu=0.5, **kwargs)

    def _log_value_at(self, rate, distance):
        return distance * -rate  # one pass over the pairs, not two

    def get_config(self):
        config = super().get_config()
        del config["nu"]  # what makes this Matern a Laplacian
        return config
