"""A weighted set of points that samples interact with."""

from typing import Any
from typing import NamedTuple

from keras import ops


class PointCloud(NamedTuple):
    """A weighted set of points that samples interact with.

    Attributes:
        points: float tensor `(groups, m, d)`.
        weights: float tensor `(groups, m)`, or `None` for ones. An integer
            weight counts a point that often, zero as absent.
        contains_samples: bool, whether the first points are the samples
            themselves. A sample does not interact with itself then.
    """

    points: Any
    weights: Any = None
    contains_samples: bool = False

    def dense_weights(self):
        """The weights `(groups, m)`, where there are none as ones."""
        if self.weights is None:
            return ops.ones_like(self.points[..., 0])
        return self.weights


def safe_log(weights):
    """`log(weights)`, minus infinity at zero, with a finite gradient."""
    present = weights > 0
    logs = ops.log(ops.where(present, weights, 1.0))
    return ops.where(present, logs, float("-inf"))


def join(first, second):
    """One cloud of two, the points of `first` ahead.

    Args:
        first: `PointCloud`.
        second: `PointCloud` or `None`; it must not contain the samples.

    Returns:
        A `PointCloud`; it has no weights if neither has.
    """
    if second is None:
        return first
    points = ops.concatenate([first.points, second.points], axis=-2)
    if first.weights is None and second.weights is None:
        return PointCloud(points, None, first.contains_samples)
    weights = ops.concatenate(
        [first.dense_weights(), second.dense_weights()], axis=-1
    )
    return PointCloud(points, weights, first.contains_samples)
