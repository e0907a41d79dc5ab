"""How much of a mean shift is a score."""

from typing import Any
from typing import NamedTuple

from keras import ops

from keras_drift import kernels
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import mean_shifts


class Decomposition(NamedTuple):
    """The parts of a mean shift, `preconditioner * score + residual`.

    Attributes:
        preconditioner: float32 tensor `(..., n, 1)`, >= 0, a squared length.
        score: float32 tensor `(..., n, d)`, one over a length: the gradient of
            the log-density of the kernel.
        residual: float32 tensor `(..., n, d)`, a length: what no gradient
            explains.
    """

    preconditioner: Any
    score: Any
    residual: Any


def decomposition(kernel, x, points):
    """Splits the mean shift of a kernel into a score and what is left.

    The mean of the points near a sample, minus the sample, is a multiple of the
    score of the density that the kernel draws around the points, plus a
    residual: zero for a Gaussian, and the smaller the more dimensions there
    are. It diagnoses what the row field of a `KernelDrift` does on your
    features: with a small residual it follows a score; with a large one,
    `normalization="score"` or `"sharp"` would.

    Args:
        kernel: a `kernels.Kernel` of distances, its name or its config, with
            `log_slope`.
        x: float tensor `(n, d)` or `(groups, n, d)`, the samples.
        points: float tensor `(m, d)` or `(groups, m, d)`, the positives or the
            negatives.

    Returns:
        A `Decomposition`. With several bandwidths its tensors have a new first
        axis. Where a Laplacian feels only points in the place of a sample, both
        the preconditioner and the score are zero.

    Raises:
        ValueError: if the kernel compares directions, or if the shapes do not
            fit.

    Example:

    >>> from keras_drift import drifts
    >>> x, points = np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]])  # 5 apart
    >>> parts = drifts.decomposition("laplacian", x, points)
    >>> round(float(parts.preconditioner[0, 0]), 3)
    5.0
    >>> [round(float(part), 3) for part in parts.score[0]]  # a unit vector
    [0.6, 0.8]

    Reference:

    - [Lai et al., 2026](https://arxiv.org/abs/2603.07514)
    """
    kernel = kernels.get(kernel)
    x, points = (ops.convert_to_tensor(v, "float32") for v in (x, points))
    shapes = tuple(x.shape), tuple(points.shape)
    if len(shapes[0]) not in (2, 3) or (
        shapes[0][:-2] + shapes[0][-1:] != shapes[1][:-2] + shapes[1][-1:]
    ):
        raise ValueError(
            "`x` and `points` are `(n, d)` and `(m, d)`, or `(groups, n, d)` "
            "and `(groups, m, d)`. Received: "
            f"x.shape={shapes[0]}, points.shape={shapes[1]}"
        )
    if kernel.spherical:
        raise ValueError(
            "A kernel of directions has no mean shift to split: it moves "
            f"samples along a sphere. Received: kernel={kernel}"
        )
    origin = ops.mean(x, axis=-2, keepdims=True)
    x, points = x - origin, points - origin
    if len(shapes[0]) == 2:
        x, points = x[None], points[None]
    pairs = Pairs(x, PointCloud(points))
    pulled = mean_shifts(
        pairs,
        kernel.log_kernels(),
        kernel.log_kernels(1.0, kernel.log_gradient_weight),
    )
    shifts = mean_shifts(pairs, kernel.log_kernels())
    widths = ops.reshape(kernel.bandwidth, (-1,))
    parts = []
    for k, ((pulling, pull, _), (shift, *_)) in enumerate(
        zip(pulled, shifts, strict=True)
    ):
        feels = pull > 0
        safe = ops.where(feels, pull, 1.0)
        square = ops.square(widths[k])
        part = (
            ops.where(feels, square / safe, 0.0),
            pulling / square,
            shift - ops.where(feels, pulling / safe, 0.0),
        )
        parts.append([p[0] if len(shapes[0]) == 2 else p for p in part])
    if not kernel.initial_bandwidth.ndim:
        return Decomposition(*parts[0])
    return Decomposition(
        *(ops.stack(each) for each in zip(*parts, strict=True))
    )
