"""Nearest-neighbor precision: the distance from samples to the data."""

import keras

from keras_drift.metrics import samples
from keras_drift.metrics.nearest_neighbor_metric import NearestNeighborMetric
from keras_drift.metrics.nearest_neighbor_metric import distance_to_nearest


def nearest_neighbor_precision(x, y, quantile=None):
    """Mean distance of samples to their nearest neighbors in the data.

    It detects what a distance between distributions such as
    `sliced_wasserstein` averages out: samples a little off the data, such as
    blur around a curve or samples between modes. It does not detect missing
    modes; report `nearest_neighbor_recall` as well.

    Args:
        x: float array or tensor `(n, ...)`, generated samples, flattened.
        y: float array or tensor `(m, ...)`, data. More of them are nearer:
            compare numbers of one `m`, or divide by the floor.
        quantile: float in `[0, 1]`, such as `0.95`, of the distances, instead
            of their mean. Defaults to `None`: the mean.

    Returns:
        float32 scalar >= 0, in the units of the samples.

    Raises:
        ValueError: if a set is empty or without feature axis, or if the samples
            have different numbers of features.

    Example:

    >>> from keras_drift import metrics
    >>> data = np.array([[0.0, 0.0], [10.0, 0.0]])
    >>> x = np.array([[0.0, 1.0], [10.0, 0.0]])  # one is off by 1
    >>> float(metrics.nearest_neighbor_precision(x, data))
    0.5
    """
    x, y = samples.flatten_pair(x, y)
    return distance_to_nearest(x, y, quantile)


@keras.saving.register_keras_serializable("keras_drift")
class NearestNeighborPrecision(NearestNeighborMetric):
    """Distance of samples to their nearest neighbors in the data, with floor.

    The floor is the distance of held-out data to their nearest neighbors. See
    `nearest_neighbor_precision` for the distance, and `Distance` for the floor
    and for how a batch is split.

    Args:
        quantile: float in `[0, 1]`, such as `0.95`, of the distances, instead
            of their mean. Defaults to `None`: the mean.
        name: str, the name in the logs. Defaults to
            `"nearest_neighbor_precision"`.
        encoder: see `Distance`. Defaults to `None`.

    Call arguments:
        y_true: float tensor `(n, ...)`, real samples. At least two.
        y_pred: float tensor `(m, ...)`, generated samples.
        sample_weight: not supported, must be `None`.

    Returns:
        dict with the distance as `name` and its floor as `{name}_floor`.

    Example:

    >>> from keras_drift import metrics
    >>> real = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> metric = metrics.NearestNeighborPrecision(name="precision")
    >>> logs = metric(real, real + 5)
    >>> {name: round(float(value), 3) for name, value in logs.items()}
    {'precision': 4.0, 'precision_floor': 1.0}
    """

    def __init__(
        self, quantile=None, name="nearest_neighbor_precision", encoder=None
    ):
        super().__init__(quantile, name, encoder)

    def distance(self, x, y):
        return nearest_neighbor_precision(x, y, self.quantile)
