"""Score normalization."""

import keras

from keras_drift.drifts.normalizations.normalization import Normalization
from keras_drift.ops import curl_free_field


@keras.saving.register_keras_serializable("keras_drift.normalizations")
class Score(Normalization):
    """Difference of the scores of the kernel density estimates.

    `V(x) = bandwidth**2 grad log(sum_j k(x, y_j) / sum_k k(x, z_k))`: a
    gradient, so the field is curl-free. It resolves the finest detail best, a
    Laplacian by unit vectors to its neighbors, and equals `Row` with a Gaussian
    kernel. In the limit of a large bandwidth it takes `2 * exponent` steps with
    an `InverseMultiquadric`, `nu / (nu - 1)` with a `Matern`, and an unbounded
    number with a `Laplacian`.

    Args:
        bias_correction: bool, whether to correct means over a few points for
            the bias of dividing by their own mass, see `Normalization`.
            Defaults to `False`.

    Example:

    >>> from keras_drift import drifts, kernels
    >>> drift = drifts.KernelDrift(kernels.Gaussian(2.0), "score")
    >>> x, data = np.array([[0.0], [1.0]]), np.array([[3.0], [3.0]])
    >>> keras.ops.convert_to_numpy(drift(x, data)).tolist()
    [[2.0], [3.0]]

    Reference:

    - [Esteban-Casadevall et al., 2026](https://arxiv.org/abs/2605.10727)
    """

    takes_segments = True

    def velocities(self, kernel, length, positives, negatives):
        return curl_free_field(
            kernel.log_kernels(length),
            kernel.log_kernels(length, kernel.log_gradient_weight),
            positives,
            negatives,
            self.bias_correction,
        )
