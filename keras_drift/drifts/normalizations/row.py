"""Row normalization."""

import keras

from keras_drift.drifts.normalizations.normalization import Normalization
from keras_drift.drifts.outer_smoothing import check_outer_smoothing
from keras_drift.drifts.outer_smoothing import smoothed
from keras_drift.ops import row_field


@keras.saving.register_keras_serializable("keras_drift.normalizations")
class Row(Normalization):
    """Divides the kernels of a sample by their sum over the points.

    `V(x) = sum_j k(x, y_j) y_j / sum_j k(x, y_j)` over the positives, minus the
    same over the negatives: the difference of two mean shifts. With a Gaussian
    kernel this is `bandwidth**2` times the difference of the scores of the
    smoothed densities. Choose it for low dimensions and for theory.

    Args:
        bias_correction: bool, whether to correct means over a few points for
            the bias of dividing by their own mass, see `Normalization`.
            Defaults to `False`.
        outer_smoothing: int >= 1: the velocity of a sample is the mean over
            this many copies of it, jittered by a Gaussian of the width of the
            kernel. That is the exact gradient of the smoothed KL divergence on
            the samples (its Wasserstein gradient flow), which the plain field
            approximates, at this many times the cost. Needs a Gaussian kernel
            and a `self_interaction` other than `"excluded"`. Defaults to
            `None`: no jitter.

    Example:

    >>> from keras_drift import drifts
    >>> drift = drifts.KernelDrift("gaussian", drifts.normalizations.Row())
    >>> x, data = np.array([[0.0], [1.0]]), np.array([[3.0], [3.0]])
    >>> keras.ops.convert_to_numpy(drift(x, data)).tolist()
    [[2.0], [3.0]]
    """

    takes_segments = True

    def __init__(self, bias_correction=False, outer_smoothing=None):
        super().__init__(bias_correction)
        self.outer_smoothing = outer_smoothing

    def validate(self, drift):
        check_outer_smoothing(self.outer_smoothing, drift)

    def velocities(self, kernel, length, positives, negatives):
        field = smoothed(row_field, self.outer_smoothing, kernel.widths(length))
        log_kernels = kernel.log_kernels(length)
        return field(log_kernels, positives, negatives, self.bias_correction)

    def get_config(self):
        return {
            **super().get_config(),
            "outer_smoothing": self.outer_smoothing,
        }
