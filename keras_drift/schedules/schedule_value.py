"""The value of a schedule at a step, checked on the host."""

import keras
import numpy as np
from keras import ops


def check(name, schedule, step):
    """Refuses values that no step can follow.

    Compiled steps cannot raise errors. A negative step size moves samples away
    from the data, and a negative bandwidth is replaced by the smallest one, at
    which no field is left.

    Args:
        name: str, what the schedule is of.
        schedule: a callable from the step to a number. It is evaluated without
            effects: a random generator that it draws from keeps its state.
        step: int, or int scalar tensor.

    Raises:
        ValueError: if the value is negative or not finite.
    """
    with keras.StatelessScope():
        value = schedule(step)
    value = np.asarray(ops.convert_to_numpy(value), "float64")
    if not np.all(np.isfinite(value) & (value >= 0)):
        raise ValueError(
            f"A schedule of the {name.replace('_', ' ')} gives a finite number "
            "that is not negative at every step. Give it a lower bound, such "
            "as `keras.ops.maximum(value, 0.1)`. "
            f"Received: {name}={value} at step {int(step)}, by {schedule!r}"
        )
