"""The energy distance."""

import keras

from keras_drift.metrics import samples
from keras_drift.metrics.distance import Distance
from keras_drift.ops import mean_cost


def energy_distance(x, y):
    """Energy distance between two sets of samples.

    The root of `2 E|x - y| - E|x - x'| - E|y - y'|`, the means taken over all
    pairs, a sample with itself included. It is zero only if both sets are the
    same, and has no parameter and no random directions. Choose it over
    `sliced_wasserstein` for few samples in many dimensions; its cost is `n m`
    distances.

    Args:
        x: float array or tensor `(n, d)`. Samples of higher rank are flattened.
        y: float array or tensor `(m, d)`.

    Returns:
        float32 scalar >= 0, in units of the root of a length. Its gradient is 0
        where the sets coincide. Being the root of a difference, it resolves
        no less than a few thousandths of the root of the typical distance.

    Raises:
        ValueError: if a set is empty or without feature axis, or if the samples
            have different numbers of features.

    Example:

    >>> from keras_drift import metrics
    >>> x, y = np.array([[0.0, 0.0]]), np.array([[0.0, 8.0]])
    >>> round(float(metrics.energy_distance(x, y)), 3)  # sqrt(2 * 8)
    4.0

    Reference:

    - [Székely and Rizzo, 2013](https://doi.org/10.1016/j.jspi.2013.03.018)
    """
    x, y = samples.flatten_pair(x, y)
    between, within_x, within_y = (
        mean_cost(pairs) for pairs in samples.all_pairs(x, y)
    )
    return samples.root(2 * between - within_x - within_y)


@keras.saving.register_keras_serializable("keras_drift")
class EnergyDistance(Distance):
    """Energy distance to the data, with its floor.

    It detects every difference between two distributions and has no parameter.
    See `energy_distance` for the distance, and `Distance` for the floor and for
    how a batch is split.

    Args:
        name: str, the name in the logs. Defaults to `"energy_distance"`.
        encoder: see `Distance`. Defaults to `None`.

    Call arguments:
        y_true: float tensor `(n, ...)`, real samples. At least two.
        y_pred: float tensor `(m, ...)`, generated samples.
        sample_weight: not supported, must be `None`.

    Returns:
        dict with the distance as `name` and its floor as `{name}_floor`.

    Example:

    >>> from keras_drift import metrics
    >>> real = np.array([[0.0], [2.0]])
    >>> logs = metrics.EnergyDistance()(real, real + 8)
    >>> {name: round(float(value), 3) for name, value in logs.items()}
    {'energy_distance': 4.0, 'energy_distance_floor': 2.0}
    """

    def __init__(self, name="energy_distance", encoder=None):
        super().__init__(name, encoder)

    def distance(self, x, y):
        return energy_distance(x, y)
