"""Refuses values of schedules that no step can follow."""

import keras
import numpy as np
from keras import ops

from keras_drift import backend


class ScheduleCheck(keras.callbacks.Callback):
    """Checks the schedules of `fit` at the first step of every epoch.

    Compiled steps cannot raise errors. A negative step size moves samples away
    from the data, and a negative bandwidth is replaced by the smallest one, at
    which no field is left.

    Schedules are evaluated at the present step alone: of the steps ahead, a
    callback may replace the schedule before they come.
    """

    def on_epoch_begin(self, epoch, logs=None):
        del epoch, logs
        schedules = {
            "bandwidth": self.model.run.schedule_of(self.model),
            "step_size": self.model.step_size,
        }
        for name, schedule in schedules.items():
            if callable(schedule):  # not a number, nor feedback from the drift
                self._check(name, schedule)

    def _check(self, name, schedule):
        counter = self.model.optimizer.iterations
        step = backend.host_value(counter)
        value = schedule(ops.convert_to_tensor(step, counter.dtype))
        value = np.asarray(ops.convert_to_numpy(value), "float64")
        if not np.all(np.isfinite(value) & (value >= 0)):
            raise ValueError(
                f"A schedule of the {name.replace('_', ' ')} gives a finite "
                "number that is not negative at every step of `fit`. Give it a "
                "lower bound, such as `keras.ops.maximum(value, 0.1)`. "
                f"Received: {name}={value} at step {int(step)}, by {schedule!r}"
            )
