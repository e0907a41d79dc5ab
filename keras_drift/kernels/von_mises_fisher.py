"""The von Mises-Fisher kernel."""

import keras

from keras_drift.kernels.gaussian_profile import GaussianProfile


@keras.saving.register_keras_serializable("keras_drift")
class VonMisesFisher(GaussianProfile):
    """Von Mises-Fisher kernel: `exp((cos(angle) - 1) / bandwidth**2)`.

    The Gaussian kernel on the unit sphere. Choose it for features whose norm
    carries no information, such as those of contrastive encoders: points are
    scaled to unit length, and a drift moves samples along the sphere.

    Args:
        bandwidth: float > 0, or a sequence of them: for narrow ones the angle,
            in radians, of the standard deviation. The concentration `kappa` of
            the literature is `1 / bandwidth**2`. Useful values are `0.1` to
            `1`, as the sphere has diameter 2; or `"auto"`, see `Kernel`.
            Defaults to `0.5`.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        x: float tensor `(..., n, d)`, of any length but 0.
        y: float tensor `(..., m, d)`.

    Returns:
        Log-similarities, float32: `(..., n, m)` for a single bandwidth,
        `(b, ..., n, m)` for `b` bandwidths.

    Example:

    >>> from keras_drift import kernels
    >>> kernel = kernels.VonMisesFisher(bandwidth=0.5)
    >>> x, y = np.array([[1.0, 0.0]]), np.array([[0.0, 5.0]])  # a right angle
    >>> round(float(kernel(x, y)[0, 0]), 4)
    -4.0

    Reference:

    - [Cao et al., 2026](https://arxiv.org/abs/2603.10592)
    """

    family = "von_mises_fisher"
    spherical = True

    def __init__(self, bandwidth=0.5, **kwargs):
        super().__init__(bandwidth, **kwargs)
