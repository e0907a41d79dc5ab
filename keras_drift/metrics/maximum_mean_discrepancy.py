"""The maximum mean discrepancy."""

import keras

from keras_drift import kernels
from keras_drift.metrics import samples
from keras_drift.metrics.distance import Distance
from keras_drift.ops import mean_similarity
from keras_drift.ops import unit_vectors


def maximum_mean_discrepancy(x, y, kernel="gaussian"):
    """Maximum mean discrepancy between two sets of samples.

    The root of `E k(x, x') + E k(y, y') - 2 E k(x, y)`, the means taken over
    all pairs, a sample with itself included: the distance between the two sets
    at the scale of the kernel. Choose it to examine one scale, for instance the
    bandwidth of the drift; it is insensitive far below and far above. With a
    bandwidth well below the distance between neighbors it is
    `sqrt(1 / n + 1 / m)` for any two sets. A `spherical` kernel compares
    directions.

    Args:
        x: float array or tensor `(n, d)`. Samples of higher rank are flattened.
        y: float array or tensor `(m, d)`.
        kernel: `kernels.Kernel`, its name or its config. Several bandwidths
            are averaged. In compiled code pass a kernel that was made outside,
            since a name makes a new one. Defaults to `"gaussian"`, whose
            bandwidth of 1 suits samples of unit spread in few dimensions.

    Returns:
        float32 scalar, from 0 to the square root of 2, without unit. Its
        gradient is 0 where the sets coincide. Being the root of a difference,
        it resolves no less than a few thousandths.

    Raises:
        ValueError: if a set is empty or without feature axis, if the samples
            have different numbers of features, or if the kernel is unknown.

    Example:

    >>> from keras_drift import kernels
    >>> from keras_drift import metrics
    >>> x, y = np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]])  # 5 apart
    >>> kernel = kernels.Gaussian(bandwidth=5.0)
    >>> round(float(metrics.maximum_mean_discrepancy(x, y, kernel)), 3)
    0.887

    Reference:

    - [Gretton et al., 2012](https://jmlr.org/papers/v13/gretton12a.html)
    """
    kernel = kernels.get(kernel)
    x, y = samples.flatten_pair(x, y, keeps_origin=kernel.spherical)
    if kernel.spherical:
        x, y = unit_vectors(x), unit_vectors(y)
    between, within_x, within_y = (
        mean_similarity(pairs, kernel.log_kernels())
        for pairs in samples.all_pairs(x, y)
    )
    return samples.root(within_x + within_y - 2 * between)


@keras.saving.register_keras_serializable("keras_drift")
class MaximumMeanDiscrepancy(Distance):
    """Maximum mean discrepancy to the data, with its floor.

    It is sensitive to one scale, that of its kernel. See
    `maximum_mean_discrepancy` for the distance, and `Distance` for the floor
    and for how a batch is split.

    Args:
        kernel: `kernels.Kernel`, its name or its config. The metric makes its
            own copy with the initial bandwidths: a schedule that anneals the
            kernel of a drift does not change the metric. Defaults to
            `"gaussian"`.
        name: str, the name in the logs. Defaults to
            `"maximum_mean_discrepancy"`.
        encoder: see `Distance`. Defaults to `None`.

    Call arguments:
        y_true: float tensor `(n, ...)`, real samples. At least two.
        y_pred: float tensor `(m, ...)`, generated samples.
        sample_weight: not supported, must be `None`.

    Returns:
        dict with the distance as `name` and its floor as `{name}_floor`.

    Raises:
        ValueError: if the kernel is unknown.

    Example:

    >>> from keras_drift import metrics
    >>> real = np.array([[0.0], [0.0]])
    >>> logs = metrics.MaximumMeanDiscrepancy(name="mmd")(real, real + 100)
    >>> {name: round(float(value), 3) for name, value in logs.items()}
    {'mmd': 1.414, 'mmd_floor': 0.0}
    """

    def __init__(
        self,
        kernel="gaussian",
        name="maximum_mean_discrepancy",
        encoder=None,
    ):
        super().__init__(name, encoder)
        kernel = kernels.get(kernel)
        self.kernel = type(kernel).from_config(kernel.get_config())

    def distance(self, x, y):
        return maximum_mean_discrepancy(x, y, self.kernel)

    def get_config(self):
        kernel = keras.saving.serialize_keras_object(self.kernel)
        return {**super().get_config(), "kernel": kernel}
