"""Bandwidth annealing during `fit`."""

import keras

from keras_drift.callbacks.attach import require_drift_model
from keras_drift.training import bandwidth_schedule


class BandwidthAnnealing(keras.callbacks.Callback):
    """Anneals the bandwidth of the drift by a schedule, during one `fit`.

    The schedule is a function of the optimizer's step counter, evaluated inside
    the compiled training step: nothing is traced again, and a model loaded from
    a file continues where it stopped. The bandwidth appears in the logs. When
    `fit` ends the model keeps its last bandwidth. For a schedule that belongs
    to the model and is saved with it, use `DriftModel(bandwidth_schedule=...)`;
    the callback takes precedence.

    Args:
        schedule: `keras_drift.schedules.ExponentialAnnealing` or any schedule
            of `keras.optimizers.schedules`, the bandwidth at each step; or a
            plan, `spectral.plan_training(data, num_steps)`, whose unit of
            length must be that of the drift. Of several bandwidths it sets the
            largest; the others keep their ratio to it.

    Example:

    >>> import keras_drift as kd
    >>> model = kd.DriftModel(kd.generators.MLP(output_dim=2), seed=0)
    >>> model.compile("adam")
    >>> schedule = kd.schedules.ExponentialAnnealing(1.0, 0.5, rate=1.0)
    >>> history = model.fit(
    ...     kd.datasets.two_moons(512, seed=0),
    ...     epochs=2,
    ...     verbose=0,
    ...     callbacks=[kd.callbacks.BandwidthAnnealing(schedule)],
    ... )
    >>> [round(float(width), 4) for width in history.history["bandwidth"]]
    [0.5, 0.5]

    Reference:

    - [Turan et al., 2026](https://arxiv.org/abs/2603.09936)
    """

    def __init__(self, schedule):
        super().__init__()
        bandwidth_schedule.resolved(schedule)  # raises before `fit` starts
        self._given = schedule

    def set_model(self, model):
        require_drift_model(self, model)
        super().set_model(model)
        schedule = bandwidth_schedule.resolved(self._given, model.drift)
        if model.run.is_training:
            bandwidth_schedule.refuse_second(model.run.schedule)
        model.run.schedule = schedule
