"""Dual normalization."""

import keras

from keras_drift.drifts.normalizations.normalization import Normalization
from keras_drift.ops import dual_coefficients
from keras_drift.ops import dual_field


@keras.saving.register_keras_serializable("keras_drift.normalizations")
class Dual(Normalization):
    """Divides by the geometric mean of the sums over points and over samples.

    The recipe for images (Algorithm 2 of the paper), with weights that count
    samples: a point also divides its attraction among the samples around it.
    The velocity is weighted by the masses of both sides, at most half a step
    for sets of one size, and made for `unit_rms`: with this normalization, a
    `KernelDrift` has relative bandwidths and unit fields by default.

    Args:
        bias_correction: bool, whether to correct means over a few points for
            the bias of dividing by their own mass, see `Normalization`.
            Defaults to `False`.

    Example:

    >>> from keras_drift import drifts
    >>> drift = drifts.KernelDrift(normalization="dual")
    >>> drift.relative, drift.unit_rms
    (True, True)

    Reference:

    - [Deng et al., 2026](https://arxiv.org/abs/2602.04770)
    """

    takes_segments = True
    relative = True
    unit_rms = True
    couples_samples = True

    def velocities(self, kernel, length, positives, negatives):
        return dual_field(
            kernel.log_kernels(length),
            positives,
            negatives,
            self.bias_correction,
        )

    def coefficients(self, kernel, block, num_negatives):
        return dual_coefficients(kernel.log_kernels(), block, num_negatives)
