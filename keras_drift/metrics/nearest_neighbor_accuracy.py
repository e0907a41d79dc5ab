"""Accuracy of a nearest-neighbor classifier of samples and data."""

import keras
from keras import ops

from keras_drift.metrics import samples
from keras_drift.metrics.distance import Distance
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import nearest_costs


def nearest_neighbor_accuracy(x, y):
    """Accuracy with which a classifier tells samples from data.

    The classifier assigns a point to the set of its nearest neighbor among all
    other points of both sets. It is right half of the time if both sets have
    one distribution, and always if they are apart. Well below one half, samples
    and data come in pairs: the samples copy the data. Use sets of one size.
    `spectral.classifier_two_sample_test` says whether the accuracy is
    significant.

    Args:
        x: float array or tensor `(n, ...)`, generated samples, flattened.
        y: float array or tensor `(m, ...)`, data.

    Returns:
        float32 scalar in `[0, 1]`, the mean of the accuracies on both sets.

    Raises:
        ValueError: if a set is empty or without feature axis, or if the samples
            have different numbers of features.

    Example:

    >>> from keras_drift import metrics
    >>> data = np.array([[0.0], [1.0], [2.0]])
    >>> float(metrics.nearest_neighbor_accuracy(data + 50, data))
    1.0

    Reference:

    - [Lopez-Paz and Oquab, 2017](https://arxiv.org/abs/1610.06545)
    """
    x, y = samples.flatten_pair(x, y)
    accuracy = 0.5 * (_recognized(x, y) + _recognized(y, x))
    return samples.nan_unless_finite(accuracy, x, y)


def _recognized(own, other):
    """Fraction of a set whose nearest neighbors are of that set."""
    own, other = own[None], other[None]
    near = nearest_costs(Pairs(own, PointCloud(own, contains_samples=True)))
    far = nearest_costs(Pairs(own, PointCloud(other)))
    # Points that coincide are as near to both sets.
    votes = ops.cast(near < far, "float32") + ops.cast(near <= far, "float32")
    return 0.5 * ops.mean(votes)


@keras.saving.register_keras_serializable("keras_drift")
class NearestNeighborAccuracy(Distance):
    """Accuracy with which a classifier tells samples from data.

    Logged beside its value for held-out data, `{name}_floor`, which is about
    one half. See `nearest_neighbor_accuracy`, and `Distance` for how a batch
    is split.

    Args:
        name: str, the name in the logs. Defaults to
            `"nearest_neighbor_accuracy"`.
        encoder: see `Distance`. Defaults to `None`.

    Call arguments:
        y_true: float tensor `(n, ...)`, real samples. At least two.
        y_pred: float tensor `(m, ...)`, generated samples.
        sample_weight: not supported, must be `None`.

    Returns:
        dict with the accuracy as `name` and that for data as `{name}_floor`.

    Example:

    >>> from keras_drift import metrics
    >>> real = np.arange(20.0)[:, None]
    >>> logs = metrics.NearestNeighborAccuracy(name="accuracy")(real, real + 90)
    >>> float(logs["accuracy"])
    1.0
    """

    def __init__(self, name="nearest_neighbor_accuracy", encoder=None):
        super().__init__(name, encoder)

    def distance(self, x, y):
        return nearest_neighbor_accuracy(x, y)
