"""The sliced Wasserstein distance."""

import keras

from keras_drift import checks
from keras_drift.metrics import samples
from keras_drift.metrics.distance import Distance
from keras_drift.ops import PointCloud
from keras_drift.ops import sliced_transport


def sliced_wasserstein(x, y, num_projections=128, seed=0):
    """Sliced 2-Wasserstein distance between two sets of samples.

    Both sets are projected on random directions, where the optimal transport is
    found by sorting. The distance is the root mean square of the transport
    length over the directions. It is proportional to how far the samples have
    to move, needs no bandwidth, and costs `n log n`: the first distance to look
    at. In high dimension a direction resolves little detail; compare features
    there.

    Moving all of `y` by a vector `s` gives about `|s| / sqrt(d)`, and exactly
    that if `num_projections` is a multiple of `d`, because the directions come
    in orthogonal blocks, which also lowers the variance.

    Args:
        x: float array or tensor `(n, d)`. Samples of higher rank are flattened.
        y: float array or tensor `(m, d)`. Where sizes are unknown to compiled
            code, `m` is taken to be `n`.
        num_projections: int >= 1, the number of directions. For `d = 1` there
            is but one, and the distance is the 2-Wasserstein distance. Defaults
            to `128`.
        seed: int, of the directions. They depend on it and on `d` only, so
            that distances can be compared. Defaults to `0`.

    Returns:
        float32 scalar >= 0, in the units of the samples. Its gradient is 0
        where the sets coincide.

    Raises:
        ValueError: if a set is empty or without feature axis, or if the samples
            have different numbers of features.

    Example:

    >>> from keras_drift import metrics
    >>> x = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> moved = x + np.array([3.0, 4.0])  # by 5, in 2 dimensions
    >>> round(float(metrics.sliced_wasserstein(x, moved)), 3)
    3.536

    Reference:

    - [Bonneel et al., 2015](https://doi.org/10.1007/s10851-014-0506-3)
    - [Rowland et al., 2019](https://arxiv.org/abs/1903.03784), orthogonal
      directions
    """
    num_projections = checks.positive_integer(
        "num_projections", num_projections
    )
    x, y = samples.flatten_pair(x, y)
    squared = sliced_transport(
        x[None], PointCloud(y[None]), num_projections, seed
    )
    return samples.root(squared[0])


@keras.saving.register_keras_serializable("keras_drift")
class SlicedWasserstein(Distance):
    """Sliced 2-Wasserstein distance to the data, with its floor.

    The first metric to add to a `DriftModel`: it is proportional to how far the
    samples still have to move, has no bandwidth to choose, and is cheap enough
    for every step. See `sliced_wasserstein` for the distance, and
    `Distance` for the floor and for how a batch is split.

    Args:
        num_projections: int >= 1, the number of directions. Defaults to `128`.
        seed: int, of the directions, which stay the same in all batches.
            Defaults to `0`.
        name: str, the name in the logs. Defaults to `"sliced_wasserstein"`.
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
    >>> logs = metrics.SlicedWasserstein()(real, real + 5)
    >>> {name: round(float(value), 3) for name, value in logs.items()}
    {'sliced_wasserstein': 5.0, 'sliced_wasserstein_floor': 1.0}

    In a model: `model.compile(metrics=[metrics.SlicedWasserstein()])`.
    """

    def __init__(
        self,
        num_projections=128,
        seed=0,
        name="sliced_wasserstein",
        encoder=None,
    ):
        super().__init__(name, encoder)
        self.num_projections = checks.positive_integer(
            "num_projections", num_projections
        )
        self.seed = checks.non_negative_integer("seed", seed)

    def distance(self, x, y):
        return sliced_wasserstein(x, y, self.num_projections, self.seed)

    def get_config(self):
        return {
            **super().get_config(),
            "num_projections": self.num_projections,
            "seed": self.seed,
        }
