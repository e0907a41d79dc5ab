"""The result of a drift."""

from typing import Any
from typing import NamedTuple


class Field(NamedTuple):
    """Velocities of a set of samples, with their length scale and raw norm.

    Attributes:
        velocity: float32 tensor shaped like the samples, in their units.
        length_scale: float32 scalar, the length per coordinate in which the
            regression loss measures the samples; 1 unless the drift works with
            relative distances. `(features,)` where features share the field.
        norm: float32 tensor `(bandwidths,)`, the root mean square length of the
            raw velocities, in the units of the samples, before any
            normalization. It falls as the samples approach the data.
            `(features, bandwidths)` where features share the field.
    """

    velocity: Any
    length_scale: Any
    norm: Any
