"""Bandwidth annealing during `fit`."""

import keras
from keras import ops

from keras_drift import user_warnings
from keras_drift.callbacks.attach import require_drift_model
from keras_drift.training import bandwidth_schedule

# Share of the planned steps by which those of `fit` may differ.
_TOLERANCE = 0.05


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
            largest; the others keep their ratio to it. A plan is for a number
            of steps: a `fit` that ends at another step of the optimizer warns.

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
        self._is_compared = False

    def set_model(self, model):
        require_drift_model(self, model)
        super().set_model(model)
        schedule = bandwidth_schedule.resolved(self._given, model.drift)
        bandwidth_schedule.attach(schedule, model)

    def on_train_begin(self, logs=None):
        self._is_compared = False

    def on_epoch_begin(self, epoch, logs=None):
        # Here the first epoch of a resumed run is known.
        if not self._is_compared:
            self._is_compared = True
            self._compare_steps((self.params or {}), epoch)

    def _compare_steps(self, params, epoch):
        """Warns of a plan for another number of steps than `fit` runs."""
        planned = getattr(self._given, "num_steps", None)
        steps = params.get("steps")
        if not hasattr(self._given, "schedule") or not (planned and steps):
            return
        start = int(ops.convert_to_numpy(self.model.optimizer.iterations))
        batches = (params["epochs"] - epoch) * steps
        if self.model.run.position is not None:  # in the middle of an epoch
            batches -= self.model.run.position["batch"]
        optimizer = self.model.optimizer
        accumulated = getattr(optimizer, "gradient_accumulation_steps", 1) or 1
        end = start + batches * self.model.frozen_steps // accumulated
        too_few = end < (1 - _TOLERANCE) * planned
        # A plan of the steps until convergence may be followed for longer.
        is_total = hasattr(self._given, "kernel")
        too_many = is_total and end > (1 + _TOLERANCE) * planned
        if too_few or too_many:
            reached = float(self._given.schedule(max(end - 1, 0)))
            user_warnings.warn(
                f"The plan of the bandwidths is for {planned} steps of the "
                f"optimizer, and this `fit` runs from step {start} to {end}, "
                f"where the largest bandwidth is {reached:.3g}; planned is "
                f"{self._given.schedule.final:.3g}. Plan for as many steps as "
                "`fit` runs, `epochs * math.ceil(len(data) / batch_size)`, "
                "unless another `fit` continues this one."
            )
