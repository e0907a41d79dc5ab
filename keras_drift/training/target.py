"""The regression target of the features that share a field."""

from typing import Any
from typing import NamedTuple


class Target(NamedTuple):
    """Regression target of the features that share a field.

    Attributes:
        starts: list of float32 tensors `(groups * generated, tokens, dim)`,
            these features of the generated samples.
        steps: list of float32 tensors of the same shapes, the steps along the
            drift. The samples are regressed onto `start + step`.
        mean_squares: float32 tensor `(features,)`, those of the steps.
        length_scale: float32 tensor `(features,)`, the unit of length in which
            the loss measures the difference between a feature and its target.
        norm: float32 tensor `(features, bandwidths)`, the root mean square
            length of the raw velocities.
        signal: `drifts.Signal`, or `None` where it was not measured.
        bandwidth_gradient: float32 scalar, see `KernelDrift`, or `None`.
    """

    starts: Any
    steps: Any
    mean_squares: Any
    length_scale: Any
    norm: Any
    signal: Any = None
    bandwidth_gradient: Any = None
