"""Values of schedules, checked on the host."""

import keras
import numpy as np
from keras import ops


def evaluate(schedule, step):
    """The value of a schedule at a step, without effects.

    Variables of Keras, such as the state of a random generator, keep their
    values; a schedule must have no other state.

    Args:
        schedule: a callable from the step to a number.
        step: int, or int scalar tensor.
    """
    with keras.StatelessScope():
        return schedule(step)


def check(name, value, step, schedule):
    """Refuses a value that no step can follow.

    Compiled steps cannot raise errors. A negative step size moves samples away
    from the data, and a negative bandwidth is replaced by the smallest one, at
    which no field is left.

    Args:
        name: str, what the schedule is of.
        value: float, or scalar tensor.
        step: int, or int scalar tensor, the step of the value.
        schedule: the schedule, for the message.

    Raises:
        ValueError: if the value is negative or not finite.
    """
    value = np.asarray(ops.convert_to_numpy(value), "float64")
    if not np.all(np.isfinite(value) & (value >= 0)):
        raise ValueError(
            f"A schedule of the {name.replace('_', ' ')} gives a finite number "
            "that is not negative at every step. Give it a lower bound, such "
            "as `keras.ops.maximum(value, 0.1)`. "
            f"Received: {name}={value} at step {int(step)}, by {schedule!r}"
        )
