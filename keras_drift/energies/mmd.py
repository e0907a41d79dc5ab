"""The maximum mean discrepancy as an energy."""

import functools

import keras
from keras import ops

from keras_drift import kernels
from keras_drift.bandwidth_owner import BandwidthPart
from keras_drift.energies.energy import Energy
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import mean_over_points
from keras_drift.ops import pairwise_distances
from keras_drift.ops import unit_vectors

_NEGATIVE_DISTANCE = "negative_distance"


@keras.saving.register_keras_serializable("keras_drift.energies")
class MMD(Energy):
    """Half the squared maximum mean discrepancy of samples and data.

    `F = E k(x, x') / 2 + E k(y, y') / 2 - E k(x, y)`, the means taken over all
    pairs, a sample with itself included. It needs large batches. A kernel is
    sensitive to one scale; the negative distance to all of them, without a
    parameter and at any distance.

    Args:
        kernel: a `kernels.Kernel`, its name or its config; several bandwidths
            are averaged. A `spherical` one compares directions: the energy is
            that of the points normalized to unit length. Or
            `"negative_distance"`, `k = -|x - y|`: `F` is then half the squared
            energy distance. Defaults to `"gaussian"`.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        x: float tensor `(n, d)` or `(groups, n, d)`, the samples.
        positives: float tensor `(m, d)` or `(groups, m, d)`, the data.
        positive_weights: optional float tensor `(m,)` or `(groups, m)`, >= 0.

    Returns:
        float32 tensor, a scalar or `(groups,)`: without unit for a kernel, a
        length for the negative distance. The velocity of a Gaussian kernel is,
        in the limit of a large bandwidth, a full step divided by its square.

    Example:

    >>> from keras_drift import energies
    >>> x, data = np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]])
    >>> float(energies.MMD("negative_distance")(x, data))
    5.0

    Reference:

    - [Gretton et al., 2012](https://jmlr.org/papers/v13/gretton12a.html)
    """

    def __init__(self, kernel="gaussian", **kwargs):
        super().__init__(**kwargs)
        self.kernel = None
        if kernel != _NEGATIVE_DISTANCE:
            self.kernel = kernels.get(kernel)

    @property
    def _spherical(self):
        return self.kernel is not None and self.kernel.spherical

    @property
    def bandwidth(self):
        return None if self.kernel is None else self.kernel.bandwidth

    @property
    def initial_bandwidth(self):
        return None if self.kernel is None else self.kernel.initial_bandwidth

    def bandwidth_parts(self):
        if self.kernel is None:
            return []
        return [BandwidthPart(self.kernel, self.kernel)]

    def origin(self, x):
        if self._spherical:  # directions are taken from the origin
            return ops.zeros_like(x[:, :1])
        return super().origin(x)

    def value(self, x, positives):
        shares = positives.dense_weights()
        shares = shares / ops.sum(shares, axis=-1, keepdims=True)
        among_data = shares * self._mean(positives.points, positives)
        of_samples = 0.5 * self._mean(x, PointCloud(x)) - self._mean(
            x, positives
        )
        return ops.mean(of_samples, axis=-1) + 0.5 * ops.sum(
            among_data, axis=-1
        )

    def first_variation(self, x, positives):
        samples = PointCloud(ops.stop_gradient(x))
        return self._mean(x, samples) - self._mean(x, positives)

    def get_config(self):
        kernel = _NEGATIVE_DISTANCE
        if self.kernel is not None:
            kernel = keras.saving.serialize_keras_object(self.kernel)
        return {**super().get_config(), "kernel": kernel}

    def _mean(self, x, cloud):
        """Mean of the kernel over a cloud, `(groups, n)`."""
        if self._spherical:
            x = unit_vectors(x)
            cloud = cloud._replace(points=unit_vectors(cloud.points))
        cost = functools.partial(pairwise_distances, centered=True)
        pairs = Pairs(x, cloud, cost)
        if self.kernel is None:
            return -mean_over_points(pairs, lambda distance: distance)
        log_kernels = self.kernel.log_kernels()
        return mean_over_points(
            pairs,
            lambda distance: (
                sum(ops.exp(log_kernel(distance)) for log_kernel in log_kernels)
                / len(log_kernels)
            ),
        )
