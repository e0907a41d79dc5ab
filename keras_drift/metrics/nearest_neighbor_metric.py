"""The base class of distances to nearest neighbors."""

from keras import ops

from keras_drift import checks
from keras_drift.metrics.distance import Distance
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import nearest_costs


class NearestNeighborMetric(Distance):
    """Base class of distances to nearest neighbors: a mean or a quantile.

    Args:
        quantile: float in `[0, 1]`; `None` for the mean.
        name: str, the name in the logs.
        encoder: see `Distance`. Defaults to `None`.
    """

    def __init__(self, quantile, name, encoder=None):
        super().__init__(name, encoder)
        self.quantile = _checked_quantile(quantile)

    def get_config(self):
        return {**super().get_config(), "quantile": self.quantile}


def distance_to_nearest(x, points, quantile):
    """Mean or quantile of the distances to the nearest of the points.

    Args:
        x: float32 tensor `(n, d)`.
        points: float32 tensor `(m, d)`.
        quantile: float in `[0, 1]`; `None` for the mean.

    Returns:
        float32 scalar.
    """
    quantile = _checked_quantile(quantile)
    distances = nearest_costs(Pairs(x[None], PointCloud(points[None])))[0, :, 0]
    if quantile is None:
        return ops.mean(distances)
    if x.shape[0] is not None:
        return ops.quantile(distances, quantile)
    # A batch of one sample, met only when the code runs, leaves none of them.
    return ops.cond(
        ops.shape(x)[0] > 0,
        lambda: ops.quantile(distances, quantile),
        lambda: ops.zeros((), "float32"),
    )


def _checked_quantile(quantile):
    return None if quantile is None else checks.fraction("quantile", quantile)
