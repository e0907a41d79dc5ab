"""Tells the callbacks of Keras that logged values improve as they fall."""

import keras

# Not public, but callbacks look for directions in instances of this class only
# (`MonitorCallback` of Keras 3.15).
from keras.src.trainers.compile_utils import MetricsList


class ImprovesDownwards(MetricsList):
    """Logged values that improve as they fall, by their names.

    `EarlyStopping`, `ModelCheckpoint` and `ReduceLROnPlateau` without a `mode`
    ask the compiled metrics for their direction, by name. They do not find
    values that a model logs itself, nor the further entries of metrics whose
    result is a dict. A model with this object as an attribute announces them.
    It has no variables and logs nothing.

    Args:
        names: iterable of str, the names in the logs, without `val_`.

    Example:

    ```python
    model.directions = ImprovesDownwards(["drift_norm"])
    ```
    """

    def __init__(self, names):
        super().__init__([_Direction(name) for name in names])

    def update_state(self, *args, **kwargs):
        """Does nothing: there is nothing to measure."""

    def reset_state(self):
        """Does nothing: there is no state."""

    def result(self):
        """No values: they are logged elsewhere."""
        return {}


class _Direction(keras.metrics.Metric):
    """The name of a value, and its direction."""

    def __init__(self, name):
        super().__init__(name=name)
        self._direction = "down"
