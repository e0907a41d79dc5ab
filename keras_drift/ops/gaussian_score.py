"""The logarithm of a Gaussian kernel."""

from typing import Any
from typing import NamedTuple

from keras import ops


class GaussianScore(NamedTuple):
    """The logarithm of a Gaussian kernel, as a function of distance.

    A score like any other, see `keras_drift.ops.reductions`. That it is a
    Gaussian can be read off it: a mean under Gaussian weights is an attention,
    `exp(x.y / s^2 - |y|^2 / (2 s^2))` up to a factor for each sample, for which
    a backend may have a fused kernel.

    Attributes:
        rate: float or scalar tensor, one over the bandwidth.
    """

    rate: Any

    def __call__(self, distance):
        """`-(distance * rate)**2 / 2`."""
        radius = distance * self.rate
        return -0.5 * ops.square(radius)
