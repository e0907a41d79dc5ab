"""The regression target of one feature."""

from typing import Any
from typing import NamedTuple


class Target(NamedTuple):
    """Regression target of one feature.

    Attributes:
        value: float32 tensor `(groups * generated, tokens, dim)`: the features
            of the generated samples, moved one step along the drift.
        length_scale: float32 scalar, the unit of length in which the loss
            measures the difference between a feature and its target.
        norm: float32 tensor `(bandwidths,)`, the root mean square length of the
            raw velocities.
    """

    value: Any
    length_scale: Any
    norm: Any
