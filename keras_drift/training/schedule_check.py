"""Refuses values of schedules that no step can follow."""

import keras
from keras import ops

from keras_drift import backend
from keras_drift.schedules import schedule_value


class ScheduleCheck(keras.callbacks.Callback):
    """Checks the schedules of `fit` at the first step of every epoch.

    They are evaluated at the present step only: a later value within the epoch
    is not noticed, and before later epochs a callback may replace the schedule.
    """

    def on_epoch_begin(self, epoch, logs=None):
        del epoch, logs
        model = self.model
        counter = model.optimizer.iterations
        step = backend.host_value(counter)
        step = ops.convert_to_tensor(step, counter.dtype)
        schedules = {
            "bandwidth": model.run.schedule_of(model),
            "step_size": model.step_size,
        }
        for name, schedule in schedules.items():
            if callable(schedule):  # not a number, nor feedback from the drift
                value = schedule_value.evaluate(schedule, step)
                schedule_value.check(name, value, step, schedule)
