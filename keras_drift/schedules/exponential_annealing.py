"""Exponential annealing of a bandwidth."""

import math

import keras
from keras import ops

from keras_drift import checks


@keras.saving.register_keras_serializable("keras_drift")
class ExponentialAnnealing(keras.optimizers.schedules.LearningRateSchedule):
    """Shrinks a bandwidth by the same factor in every step, to a final value.

    `value(step) = max(initial * exp(-rate * step), final)`. A wide kernel
    settles the coarse features and a narrow one the fine ones; a sweep at a
    constant rate gives every frequency in between the same share of the time,
    so that the time needed grows only with the logarithm of the finest detail.

    It is a Keras schedule like any other: `BandwidthAnnealing` takes them all,
    and an optimizer takes this one.

    Args:
        initial: float > 0, the value at step 0: a few times the size of the
            coarsest feature.
        final: float > 0, at most `initial`, the value to stop at: a fraction of
            the size of the finest feature.
        rate: float > 0, per optimizer step. The final value is reached after
            `log(initial / final) / rate` steps.

    Example:

    >>> from keras_drift import schedules
    >>> schedule = schedules.ExponentialAnnealing(1.0, 0.25, rate=0.5)
    >>> [round(float(schedule(step)), 4) for step in (0, 1, 2, 3, 100)]
    [1.0, 0.6065, 0.3679, 0.25, 0.25]

    Reference:

    - [Turan et al., 2026](https://arxiv.org/abs/2603.09936)
    """

    def __init__(self, initial, final, rate):
        super().__init__()
        self.initial = checks.positive_number("initial", initial)
        self.final = checks.positive_number("final", final)
        self.rate = checks.positive_number("rate", rate)
        if final > initial:
            raise ValueError(
                "Annealing shrinks the bandwidth, so `final` must not exceed "
                f"`initial`. Received: initial={initial}, final={final}"
            )

    @property
    def num_steps(self):
        """Steps until the final value is reached: a float."""
        return math.log(self.initial / self.final) / self.rate

    def __call__(self, step):
        """The value at an optimizer step: a float32 scalar tensor."""
        step = ops.cast(step, "float32")
        value = self.initial * ops.exp(-self.rate * step)
        return ops.maximum(value, self.final)

    def get_config(self):
        return {
            "initial": self.initial,
            "final": self.final,
            "rate": self.rate,
        }
