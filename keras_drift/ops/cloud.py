"""A weighted set of points that samples interact with."""

from typing import Any
from typing import NamedTuple

from keras import ops


class Cloud(NamedTuple):
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

    def log_weights(self, num_samples):
        """Log-weight of every pair: broadcasts to `(groups, num_samples, m)`.

        It is minus infinity for points of weight zero and for self-pairs.
        """
        logs = ops.zeros((1, 1, 1))
        if self.weights is not None:
            logs = logs + safe_log(self.weights)[:, None, :]
        if self.contains_samples:
            same = self_pairs(num_samples, ops.shape(self.points)[-2])
            logs = ops.where(same, float("-inf"), logs)
        return logs


def self_pairs(num_samples, num_points):
    """True where sample i meets point i: `(1, num_samples, num_points)`."""
    rows = ops.arange(num_samples)[:, None]
    columns = ops.arange(num_points)[None, :]
    return (rows == columns)[None]


def safe_log(weights):
    """`log(weights)`, minus infinity at zero, with a finite gradient."""
    present = weights > 0
    logs = ops.log(ops.where(present, weights, 1.0))
    return ops.where(present, logs, float("-inf"))


def join(first, second):
    """One cloud of two, the points of `first` ahead.

    Args:
        first: `Cloud`.
        second: `Cloud` or `None`; it must not contain the samples.

    Returns:
        A `Cloud`; it has no weights if neither has.
    """
    if second is None:
        return first
    points = ops.concatenate([first.points, second.points], axis=-2)
    if first.weights is None and second.weights is None:
        return Cloud(points, None, first.contains_samples)
    weights = [
        ops.ones_like(cloud.points[..., 0])
        if cloud.weights is None
        else cloud.weights
        for cloud in (first, second)
    ]
    weights = ops.concatenate(weights, axis=-1)
    return Cloud(points, weights, first.contains_samples)
