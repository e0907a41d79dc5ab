"""Density: how many neighborhoods of the data samples lie in."""

import keras
from keras import ops

from keras_drift import checks
from keras_drift.metrics import samples
from keras_drift.metrics.neighborhood_metric import NeighborhoodMetric
from keras_drift.metrics.neighborhood_metric import neighborhoods
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import counts_within


def density(x, y, k=5):
    """Mean number of neighborhoods of the data around a sample, over `k`.

    The neighborhood of a datum is the ball that reaches to its `k`-th nearest
    neighbor in the data. The density is about 1 for samples of the data's own
    distribution, 0 for samples far from all data, and above 1 where samples
    gather in the densest regions. Unlike `nearest_neighbor_precision` it has no
    units, so it is comparable between feature spaces.

    Args:
        x: float array or tensor `(n, ...)`, generated samples, flattened.
        y: float array or tensor `(m, ...)`, data, `m > k`.
        k: int >= 1. Defaults to `5`.

    Returns:
        float32 scalar >= 0.

    Raises:
        ValueError: if there are not more than `k` data, if a set is without
            feature axis, or if the numbers of features differ.

    Example:

    >>> from keras_drift import metrics
    >>> data = np.arange(10.0)[:, None]
    >>> float(metrics.density(np.array([[5.1], [90.0]]), data, k=2))
    0.5

    Reference:

    - [Naeem et al., 2020](https://arxiv.org/abs/2002.09797)
    """
    k = checks.positive_integer("k", k)
    x, y = samples.flatten_pair(x, y)
    radii = neighborhoods(y, k)
    counts = counts_within(Pairs(x[None], PointCloud(y[None])), radii[None])
    # Radii are infinite where there are too few data for neighborhoods.
    return samples.nan_unless_finite(ops.mean(counts) / k, x, y, radii)


@keras.saving.register_keras_serializable("keras_drift")
class Density(NeighborhoodMetric):
    """Mean number of neighborhoods of the data around a sample, over `k`.

    Logged beside its value for held-out data, `{name}_floor`, which is about 1:
    lower means samples off the data. See `density`, and `Distance` for how a
    batch is split.

    Args:
        k: int >= 1, the neighbors within a neighborhood. Defaults to `5`.
        name: str, the name in the logs. Defaults to `"density"`.
        encoder: see `Distance`. Defaults to `None`.

    Call arguments:
        y_true: float tensor `(n, ...)`, real samples, `n // 2 > k`.
        y_pred: float tensor `(m, ...)`, generated samples.
        sample_weight: not supported, must be `None`.

    Returns:
        dict with the density as `name` and that of data as `{name}_floor`.

    Example:

    >>> from keras_drift import metrics
    >>> real = np.arange(20.0)[:, None]
    >>> logs = metrics.Density(k=2)(real, real + 90)
    >>> {name: round(float(value), 3) for name, value in logs.items()}
    {'density': 0.0, 'density_floor': 1.05}

    Reference:

    - [Naeem et al., 2020](https://arxiv.org/abs/2002.09797)
    """

    def __init__(self, k=5, name="density", encoder=None):
        super().__init__(k, name, encoder)

    def distance(self, x, y):
        return density(x, y, self.k)
