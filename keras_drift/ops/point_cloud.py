"""Weighted point clouds."""

from typing import Any
from typing import NamedTuple

from keras import ops


class PointCloud(NamedTuple):
    """A weighted set of points that samples interact with.

    Attributes:
        points: float tensor `(groups, m, d)`.
        weights: float tensor `(groups, m)`, >= 0, or `None` for ones. An
            integer weight `c` equals `c` copies of the point; a point of weight
            zero is absent, whatever its coordinates, NaN included.
        contains_samples: bool, whether the first points are the samples
            themselves. A sample does not interact with itself then.
        is_masked: bool, whether points of weight zero are finite already.
    """

    points: Any
    weights: Any = None
    contains_samples: bool = False
    is_masked: bool = False

    def dense_weights(self):
        """The weights `(groups, m)`; ones if there are none."""
        if self.weights is None:
            return ops.ones_like(self.points[..., 0])
        return self.weights

    def masked(self):
        """The same cloud with finite coordinates at points of weight zero.

        See `mask_absent`. Without weights it is this object.
        """
        if self.weights is None or self.is_masked:
            return self
        points = mask_absent(self.points, self.weights)
        return self._replace(points=points, is_masked=True)

    def masked_at_origin(self):
        """The same with points of weight zero at the origin.

        For clouds around the origin, where that is one pass over the points and
        can be fused with the one that moved them there.
        """
        if self.weights is None or self.is_masked:
            return self
        present = (self.weights > 0)[..., None]
        points = ops.where(present, self.points, 0.0)
        return self._replace(points=points, is_masked=True)


def mask_absent(points, weights):
    """Replaces points of weight zero by the mean of those present.

    Padding may hold anything: huge numbers, infinities, NaN. A weight of zero
    multiplies it but does not remove it, since `0 * inf` is NaN. The mean of
    the present points is a harmless stand-in: it is finite, and a cloud that is
    centered is centered on the present points only.

    Args:
        points: float tensor `(..., m, d)`.
        weights: float tensor `(..., m)`, >= 0, or `None` for ones.

    Returns:
        A tensor `(..., m, d)`: points of positive weight are unchanged. Points
        of a set without any weight are zero. Replaced points have gradient
        zero. Without weights, `points` itself.
    """
    if weights is None:
        return points
    present = (weights > 0)[..., None]
    kept = ops.where(present, points, 0.0)
    count = ops.sum(ops.cast(present, kept.dtype), axis=-2, keepdims=True)
    mean = ops.sum(kept, axis=-2, keepdims=True) / ops.maximum(count, 1.0)
    return ops.where(present, points, ops.stop_gradient(mean))


def safe_log(weights):
    """`log(weights)`, minus infinity at zero, with a finite gradient."""
    present = weights > 0
    logs = ops.log(ops.where(present, weights, 1.0))
    return ops.where(present, logs, float("-inf"))


def join(first, second):
    """Concatenates two clouds, the points of `first` ahead.

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
