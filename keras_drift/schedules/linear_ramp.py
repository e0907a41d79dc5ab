"""Linear ramp from zero, after a delay."""

import keras
from keras import ops

from keras_drift import checks


@keras.saving.register_keras_serializable("keras_drift")
class LinearRamp(keras.optimizers.schedules.LearningRateSchedule):
    """Zero up to a step, then a linear rise to a final value.

    `value(step) = final * min((step - start) / num_steps, 1)` from `start` on.
    The weight of a loss that is to set in late and gently, such as the
    `classifier_weight` of an `encoders.MaskedAutoencoder`.

    Args:
        final: float >= 0, the value at the end.
        start: int >= 0, the optimizer step at which the rise begins.
        num_steps: int >= 1, optimizer steps of the rise.

    Example:

    >>> from keras_drift import schedules
    >>> ramp = schedules.LinearRamp(0.5, start=10, num_steps=4)
    >>> [float(ramp(step)) for step in (0, 10, 11, 14, 100)]
    [0.0, 0.0, 0.125, 0.5, 0.5]
    """

    def __init__(self, final, start, num_steps):
        super().__init__()
        self.final = checks.non_negative_number("final", final)
        self.start = checks.non_negative_integer("start", start)
        self.num_steps = checks.positive_integer("num_steps", num_steps)

    def __call__(self, step):
        """The value at an optimizer step: a float32 scalar tensor."""
        # Whole steps are subtracted: float32 cannot count above 2**24.
        elapsed = ops.cast(ops.cast(step, "int32") - self.start, "float32")
        return self.final * ops.clip(elapsed / self.num_steps, 0.0, 1.0)

    def get_config(self):
        return {
            "final": self.final,
            "start": self.start,
            "num_steps": self.num_steps,
        }
