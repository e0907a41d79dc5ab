"""The share of the samples that is where the data are."""

from keras import ops

from keras_drift import kernels
from keras_drift.metrics import samples
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import log_sum_exp


def overlap(x, positives, kernel):
    """How well samples cover the place of the data, so that no mass escapes.

    A sample many bandwidths away from all data feels next to no drift: a model
    that has lost half of its samples there can have a drift of almost zero.
    This number tells: the density of the data, smoothed by the companion of
    the kernel, on average over the samples and relative to its average over
    the data. It is 1 where both distributions agree, and `c` where a share of
    `1 - c` has escaped. Watch it beside the drift norm. Samples that crowd
    where the data are densest have more than 1, so 1 alone proves nothing.

    Args:
        x: float array or tensor `(n, ...)`, samples of the model.
        positives: float array or tensor `(m, ...)`, the data, at least two.
        kernel: the `Kernel` of the drift, its name or its config. Several
            bandwidths are averaged.

    Returns:
        float32 scalar >= 0.

    Raises:
        ValueError: if shapes do not fit, or if there is only one datum.

    Example:

    >>> from keras_drift import spectral
    >>> data = np.random.default_rng(0).normal(size=(1000, 2))
    >>> x = np.concatenate([data[:200], data[:200] + 100.0])  # half is lost
    >>> round(float(spectral.overlap(x, data[200:], "laplacian")), 1)
    0.5

    Reference:

    - [Lee and Chun, 2026](https://arxiv.org/abs/2604.24196)
    """
    x, positives = samples.flatten_pair(x, positives)
    if positives.shape[0] == 1:
        raise ValueError(
            "The density at a datum is that of the others, so there must be at "
            f"least two. Received: positives.shape={tuple(positives.shape)}"
        )
    kernel = kernels.get(kernel)
    # Around the origin float32 is most exact.
    origin = ops.mean(positives, axis=0)
    x, positives = (x - origin)[None], (positives - origin)[None]
    log_kernels = kernel.log_kernels(1.0, kernel.log_companion)
    at_samples = Pairs(x, PointCloud(positives))
    at_data = Pairs(positives, PointCloud(positives, contains_samples=True))
    # In logarithms: in many dimensions both densities vanish in float32.
    return ops.exp(
        _log_mean(at_samples, log_kernels) - _log_mean(at_data, log_kernels)
    )


def _log_mean(pairs, log_kernels):
    """Of `exp(score)` over all pairs and scores, but for a factor."""
    over_points = [logs for logs, _ in log_sum_exp(pairs, log_kernels)]
    return ops.logsumexp(ops.stack(over_points)) - ops.log(pairs.total_weight())
