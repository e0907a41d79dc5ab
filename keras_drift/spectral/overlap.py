"""Fraction of samples inside the support of the data."""

from keras import ops

from keras_drift import kernels
from keras_drift.metrics import samples
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import log_sum_exp
from keras_drift.ops import unit_vectors


def overlap(x, positives, kernel):
    """Mean smoothed data density at the samples, relative to that at the data.

    A sample many bandwidths away from all data has almost no drift, so a model
    that has lost half of its samples there can have a small drift norm. This
    number reveals it: the density of the data, smoothed by the companion of the
    kernel, averaged over the samples and divided by its average over the data.
    It is 1 where both distributions agree, and `1 - c` where a fraction `c` of
    the samples is far from all data. Watch it beside the drift norm. It is
    above 1 for samples concentrated where the data are densest, so a value of 1
    alone proves nothing.

    Args:
        x: float array or tensor `(n, ...)`, samples of the model.
        positives: float array or tensor `(m, ...)`, the data, at least two.
        kernel: the `Kernel` of the drift, its name or its config. Several
            bandwidths are averaged. With a `spherical` kernel all points are
            normalized to unit length. It must have a companion.

    Returns:
        float32 scalar >= 0.

    Raises:
        ValueError: if shapes do not fit, if there is only one datum, or if the
            kernel has no companion.

    Example:

    >>> from keras_drift import spectral
    >>> data = np.random.default_rng(0).normal(size=(1000, 2))
    >>> x = np.concatenate([data[:200], data[:200] + 100.0])  # half is lost
    >>> round(float(spectral.overlap(x, data[200:], "laplacian")), 1)
    0.5

    Reference:

    - [Lee and Chun, 2026](https://arxiv.org/abs/2604.24196)
    """
    kernel = kernels.get(kernel)
    x, positives = samples.flatten_pair(
        x, positives, keeps_origin=kernel.spherical
    )
    if positives.shape[0] == 1:
        raise ValueError(
            "The density at a data point is that of the others, so there must "
            "be at least two. "
            f"Received: positives.shape={tuple(positives.shape)}"
        )
    if kernel.spherical:
        x, positives = unit_vectors(x), unit_vectors(positives)
    else:
        # Near zero float32 is most accurate.
        origin = ops.mean(positives, axis=0)
        x, positives = x - origin, positives - origin
    x, positives = x[None], positives[None]
    log_kernels = kernel.log_kernels(1.0, kernel.log_companion)
    at_samples = Pairs(x, PointCloud(positives))
    at_data = Pairs(positives, PointCloud(positives, contains_samples=True))
    # In logarithms: in many dimensions both densities vanish in float32.
    return ops.exp(
        _log_mean(at_samples, log_kernels) - _log_mean(at_data, log_kernels)
    )


def _log_mean(pairs, log_kernels):
    """Log-mean of the kernels over all pairs, up to a constant."""
    over_points = [logs for logs, _ in log_sum_exp(pairs, log_kernels)]
    return ops.logsumexp(ops.stack(over_points)) - ops.log(pairs.total_weight())
