"""The regression target of the features that share a field."""

from typing import Any
from typing import NamedTuple


class Target(NamedTuple):
    """Regression target of the features that share a field.

    Attributes:
        start: float32 tensor `(groups * tokens, generated, dim)`, for the
            tokens of all these features: the generated samples.
        step: float32 tensor shaped like `start`, the step along the drift. The
            samples are regressed onto `start + step`.
        length_scale: float32 tensor `(features,)`, the unit of length in which
            the loss measures the difference between a feature and its target.
        norm: float32 tensor `(features, bandwidths)`, the root mean square
            length of the raw velocities.
        signal: `drifts.Signal`, or `None` where it was not measured.
        bandwidth_gradient: float32 scalar, see `KernelDrift`, or `None`.
    """

    start: Any
    step: Any
    length_scale: Any
    norm: Any
    signal: Any = None
    bandwidth_gradient: Any = None
