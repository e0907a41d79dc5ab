"""The base class of metrics of neighborhoods of the data."""

from keras_drift import checks
from keras_drift.metrics.distance import Distance
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import nearest_costs


class NeighborhoodMetric(Distance):
    """Base class of metrics that count samples in neighborhoods of the data.

    Args:
        k: int >= 1, the neighbors within a neighborhood.
        name: str, the name in the logs.
        encoder: see `Distance`. Defaults to `None`.
    """

    def __init__(self, k, name, encoder=None):
        super().__init__(name, encoder)
        self._direction = "up"
        self.k = checks.positive_integer("k", k)

    @property
    def min_real_samples(self):
        return 2 * (self.k + 1)

    def get_config(self):
        return {**super().get_config(), "k": self.k}


def neighborhoods(y, k):
    """Distance of each point to its `k`-th nearest neighbor.

    Args:
        y: float32 tensor `(m, d)`.
        k: int >= 1.

    Returns:
        float32 tensor `(m,)`.
    """
    if y.shape[0] is not None and y.shape[0] <= k:
        raise ValueError(
            "The neighborhood of a datum reaches to its `k`-th nearest "
            "neighbor, so there must be more than `k` data (in a metric, in "
            "each half of a batch). Use a smaller `k` or larger batches. "
            f"Received: k={k}, {y.shape[0]} data"
        )
    pairs = Pairs(y[None], PointCloud(y[None], contains_samples=True))
    return nearest_costs(pairs, k)[0, :, -1]
