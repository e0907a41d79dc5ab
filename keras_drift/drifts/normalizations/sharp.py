"""Sharp normalization."""

import keras
from keras import ops

from keras_drift.drifts.normalizations.normalization import Normalization
from keras_drift.ops import curl_free_field


@keras.saving.register_keras_serializable("keras_drift.normalizations")
class Sharp(Normalization):
    """Divides mean shifts by the mass of the companion kernel.

    The field is the gradient of a difference of log-densities, those of the
    companion kernel, so it is curl-free. It keeps the attraction of `Row`, and
    equals it with a Gaussian kernel.

    Args:
        bias_correction: bool, whether to correct means over a few points for
            the bias of dividing by their own mass, see `Normalization`.
            Defaults to `False`.

    Example:

    >>> from keras_drift import drifts
    >>> drift = drifts.KernelDrift(normalization="sharp")
    >>> x, data = np.array([[0.0], [1.0]]), np.array([[2.0], [2.0]])
    >>> drift(x, data).shape == x.shape
    True

    Reference:

    - [Franz et al., 2026](https://arxiv.org/abs/2604.06333)
    """

    takes_segments = True

    def validate(self, drift):
        kernel = drift.kernel
        # Some kernels have no companion.
        kernel.log_kernels(1.0, kernel.log_companion)[0](ops.zeros(1))

    def velocities(self, kernel, length, positives, negatives):
        return curl_free_field(
            kernel.log_kernels(length, kernel.log_companion),
            kernel.log_kernels(length, kernel.log_companion_weight),
            positives,
            negatives,
            self.bias_correction,
        )
