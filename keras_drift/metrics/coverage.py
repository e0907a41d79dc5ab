"""Coverage: the fraction of the data with a sample nearby."""

import keras
from keras import ops

from keras_drift import checks
from keras_drift.metrics import samples
from keras_drift.metrics.neighborhood_metric import NeighborhoodMetric
from keras_drift.metrics.neighborhood_metric import neighborhoods
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import nearest_costs


def coverage(x, y, k=5):
    """Fraction of the data that have a sample in their neighborhood.

    The neighborhood of a datum is the ball that reaches to its `k`-th nearest
    neighbor in the data. With as many samples as data, of the same
    distribution, the coverage is about `1 - 2**-k`; missing modes lower it by
    their share of the data.

    Args:
        x: float array or tensor `(n, ...)`, generated samples, flattened.
        y: float array or tensor `(m, ...)`, data, `m > k`.
        k: int >= 1. Defaults to `5`.

    Returns:
        float32 scalar in `[0, 1]`.

    Raises:
        ValueError: if there are not more than `k` data, if a set is without
            feature axis, or if the numbers of features differ.

    Example:

    >>> from keras_drift import metrics
    >>> data = np.array([[0.0], [1.0], [2.0], [50.0], [51.0], [52.0]])
    >>> float(metrics.coverage(data[:3], data, k=2))  # one mode of two
    0.5

    Reference:

    - [Naeem et al., 2020](https://arxiv.org/abs/2002.09797)
    """
    k = checks.positive_integer("k", k)
    x, y = samples.flatten_pair(x, y)
    radii = neighborhoods(y, k)
    nearest = nearest_costs(Pairs(y[None], PointCloud(x[None])))[0, :, 0]
    share = ops.mean(ops.cast(nearest <= radii, "float32"))
    # Radii are infinite where there are too few data for neighborhoods.
    return samples.nan_unless_finite(share, x, y, radii)


@keras.saving.register_keras_serializable("keras_drift")
class Coverage(NeighborhoodMetric):
    """Fraction of the data that have a sample in their neighborhood.

    Logged beside its value for held-out data, `{name}_floor`: lower means
    missing modes. See `coverage`, and `Distance` for how a batch is split.

    Args:
        k: int >= 1, the neighbors within a neighborhood. Defaults to `5`.
        name: str, the name in the logs. Defaults to `"coverage"`.
        encoder: see `Distance`. Defaults to `None`.

    Call arguments:
        y_true: float tensor `(n, ...)`, real samples, `n // 2 > k`.
        y_pred: float tensor `(m, ...)`, generated samples.
        sample_weight: not supported, must be `None`.

    Returns:
        dict with the coverage as `name` and that of data as `{name}_floor`.

    Example:

    >>> from keras_drift import metrics
    >>> real = np.arange(20.0)[:, None]
    >>> logs = metrics.Coverage(k=2)(real, 0 * real + 4)
    >>> {name: round(float(value), 3) for name, value in logs.items()}
    {'coverage': 0.4, 'coverage_floor': 1.0}

    Reference:

    - [Naeem et al., 2020](https://arxiv.org/abs/2002.09797)
    """

    def __init__(self, k=5, name="coverage", encoder=None):
        super().__init__(k, name, encoder)

    def distance(self, x, y):
        return coverage(x, y, self.k)
