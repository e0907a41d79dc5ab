"""Nearest-neighbor recall: the distance from the data to samples."""

import keras

from keras_drift.metrics import samples
from keras_drift.metrics.nearest_neighbor_metric import NearestNeighborMetric
from keras_drift.metrics.nearest_neighbor_metric import distance_to_nearest


def nearest_neighbor_recall(x, y, quantile=None):
    """Mean distance of the data to their nearest neighbors among samples.

    It detects missing modes and regions without samples, which
    `nearest_neighbor_precision` does not.

    Args:
        x: float array or tensor `(n, ...)`, generated samples, flattened. More
            of them are nearer: compare numbers of one `n`, or divide by the
            floor.
        y: float array or tensor `(m, ...)`, data.
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
    >>> x = np.array([[0.0, 0.0], [0.0, 0.0]])  # one mode is missing
    >>> float(metrics.nearest_neighbor_recall(x, data))
    5.0
    """
    x, y = samples.flatten_pair(x, y)
    return distance_to_nearest(y, x, quantile)


@keras.saving.register_keras_serializable("keras_drift")
class NearestNeighborRecall(NearestNeighborMetric):
    """Distance of the data to their nearest neighbors among samples.

    The floor is the distance of the data to their nearest neighbors among
    held-out data. See `nearest_neighbor_recall` for the distance, and
    `Distance` for the floor and for how a batch is split.

    Args:
        quantile: float in `[0, 1]`, such as `0.95`, of the distances, instead
            of their mean. Defaults to `None`: the mean.
        name: str, the name in the logs. Defaults to
            `"nearest_neighbor_recall"`.
        encoder: see `Distance`. Defaults to `None`.

    Call arguments:
        y_true: float tensor `(n, ...)`, real samples. At least two.
        y_pred: float tensor `(m, ...)`, generated samples.
        sample_weight: not supported, must be `None`.

    Returns:
        dict with the distance as `name` and its floor as `{name}_floor`.

    Example:

    >>> from keras_drift import metrics
    >>> real = np.array([[0.0], [1.0], [20.0], [21.0]])
    >>> metric = metrics.NearestNeighborRecall(name="recall")
    >>> logs = metric(real, 0 * real)  # all at the first mode
    >>> {name: round(float(value), 3) for name, value in logs.items()}
    {'recall': 10.0, 'recall_floor': 1.0}
    """

    def __init__(
        self, quantile=None, name="nearest_neighbor_recall", encoder=None
    ):
        super().__init__(quantile, name, encoder)

    def distance(self, x, y):
        return nearest_neighbor_recall(x, y, self.quantile)
