"""Decomposition of a mean shift into a preconditioned score and a residual."""

from typing import Any
from typing import NamedTuple

from keras import ops

from keras_drift import kernels
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import mean_shifts


class Decomposition(NamedTuple):
    """Parts of a mean shift, `preconditioner * score + residual`.

    Attributes:
        preconditioner: float32 tensor `(..., n, 1)`, >= 0, a squared length.
        score: float32 tensor `(..., n, d)`, one over a length: the gradient of
            the log-density of the kernel.
        residual: float32 tensor `(..., n, d)`, a length: the covariance
            residual, which is not a preconditioned gradient.
    """

    preconditioner: Any
    score: Any
    residual: Any


def decomposition(kernel, x, points):
    """Decomposes the mean shift of a kernel into a score and a residual.

    The kernel-weighted mean of the points, minus the sample, is a multiple of
    the score of the kernel density estimate of the points, plus a covariance
    residual: zero for a Gaussian, and smaller in more dimensions. It diagnoses
    the row field of a `KernelDrift` on your features: with a small residual it
    follows a score; with a large one, `normalization="score"` or `"sharp"`
    does.

    Args:
        kernel: a `kernels.Kernel` of distances, its name or its config, with
            `log_slope`.
        x: float tensor `(n, d)` or `(groups, n, d)`, the samples.
        points: float tensor `(m, d)` or `(groups, m, d)`, the positives or the
            negatives.

    Returns:
        A `Decomposition`. With several bandwidths its tensors have a new first
        axis. Where all points under a Laplacian coincide with a sample, both
        the preconditioner and the score are zero.

    Raises:
        ValueError: if the kernel is spherical, or if the shapes do not fit.

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
    _check(kernel, tuple(x.shape), tuple(points.shape))
    grouped = len(x.shape) == 3
    origin = ops.mean(x, axis=-2, keepdims=True)
    x, points = x - origin, points - origin
    if not grouped:
        x, points = x[None], points[None]
    pairs = Pairs(x, PointCloud(points))
    parts = _parts_of_all(kernel, pairs)
    if not grouped:
        parts = [[part[0] for part in each] for each in parts]
    if kernel.initial_bandwidth.ndim:
        return Decomposition(*map(ops.stack, zip(*parts, strict=True)))
    return Decomposition(*parts[0])


def _parts_of_all(kernel, pairs):
    """The parts for each bandwidth."""
    log_kernels = kernel.log_kernels()
    log_weights = kernel.log_kernels(1.0, kernel.log_gradient_weight)
    gradients = mean_shifts(pairs, log_kernels, log_weights)
    shifts = mean_shifts(pairs, log_kernels)
    widths = ops.reshape(kernel.bandwidth, (-1,))
    return [
        _parts(shift, gradient, weight, ops.square(widths[k]))
        for k, ((gradient, weight, _), (shift, *_)) in enumerate(
            zip(gradients, shifts, strict=True)
        )
    ]


def _parts(shift, gradient, weight, square):
    """Preconditioner, score and residual, from means over the points.

    Args:
        shift: mean of `point - sample`.
        gradient: mean of the gradient weight times `point - sample`.
        weight: mean of the gradient weight, `>= 0`.
        square: the squared bandwidth.
    """
    present = weight > 0
    safe = ops.where(present, weight, 1.0)
    return (
        ops.where(present, square / safe, 0.0),
        gradient / square,
        shift - ops.where(present, gradient / safe, 0.0),
    )


def _check(kernel, x_shape, points_shape):
    if len(x_shape) not in (2, 3) or (
        x_shape[:-2] + x_shape[-1:] != points_shape[:-2] + points_shape[-1:]
    ):
        raise ValueError(
            "`x` and `points` are `(n, d)` and `(m, d)`, or `(groups, n, d)` "
            "and `(groups, m, d)`. Received: "
            f"x.shape={x_shape}, points.shape={points_shape}"
        )
    if kernel.spherical:
        raise ValueError(
            "The mean shift of a spherical kernel moves samples along a "
            "sphere and has no such decomposition: use a kernel of distances. "
            f"Received: kernel={kernel}"
        )
