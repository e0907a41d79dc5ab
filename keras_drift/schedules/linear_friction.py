"""Step size with a friction that grows linearly."""

import keras
from keras import ops

from keras_drift import checks


@keras.saving.register_keras_serializable("keras_drift")
class LinearFriction(keras.optimizers.schedules.LearningRateSchedule):
    """Step size that falls linearly, as under a growing friction.

    `value(step) = step_size * (1 - maximum * min(step / num_steps, 1))`, the
    `step_size` of a `DriftModel`. Early steps go far, late ones average out the
    noise of the field: over the whole training, a sample moves by at most
    `step_size * num_steps * (1 - maximum / 2)` times its largest velocity.

    Experimental: the paper says that its friction grows linearly, not where it
    enters the step. Here it damps the step.

    Args:
        step_size: float > 0, at step 0.
        maximum: float in `[0, 1]`, the friction reached: `0` is none, at `1`
            the samples stand still.
        num_steps: int >= 1, optimizer steps until then.

    Example:

    >>> from keras_drift import schedules
    >>> friction = schedules.LinearFriction(1.0, maximum=0.5, num_steps=10)
    >>> [float(friction(step)) for step in (0, 5, 10, 100)]
    [1.0, 0.75, 0.5, 0.5]

    Reference:

    - [Kazanskii et al., 2026](https://arxiv.org/abs/2604.18194)
    """

    def __init__(self, step_size, maximum, num_steps):
        super().__init__()
        self.step_size = checks.positive_number("step_size", step_size)
        self.maximum = checks.non_negative_number("maximum", maximum)
        self.num_steps = checks.positive_integer("num_steps", num_steps)
        if maximum > 1:
            raise ValueError(
                "Friction of 1 stops the samples, so `maximum` is at most 1. "
                f"Received: maximum={maximum!r}"
            )

    def __call__(self, step):
        """The step size at an optimizer step: a float32 scalar tensor."""
        progress = ops.cast(step, "float32") / self.num_steps
        friction = self.maximum * ops.minimum(progress, 1.0)
        return self.step_size * (1.0 - friction)

    def get_config(self):
        return {
            "step_size": self.step_size,
            "maximum": self.maximum,
            "num_steps": self.num_steps,
        }
