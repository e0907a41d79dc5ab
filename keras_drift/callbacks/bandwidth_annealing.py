"""Bandwidth annealing during `fit`."""

import keras

from keras_drift.callbacks.attach import require_drift_model


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
            `spectral.AnnealingPlan`, whose unit of length must be that of the
            drift. Of several bandwidths it sets the largest; the others keep
            their ratio to it.

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
        # A plan knows its unit of length; a schedule does not.
        self._relative = getattr(schedule, "relative", None)
        schedule = getattr(schedule, "schedule", schedule)
        if not callable(schedule):
            raise TypeError(
                "`schedule` gives the bandwidth at each step: an "
                "`ExponentialAnnealing` or a Keras schedule. "
                f"Received: schedule={schedule!r}"
            )
        self.schedule = schedule

    def set_model(self, model):
        require_drift_model(self, model)
        super().set_model(model)
        drift = model.drift
        if drift.bandwidth is None:
            raise ValueError(
                "Only a drift with a bandwidth can be annealed. Received: "
                f"drift={type(drift).__name__}"
            )
        relative = bool(getattr(drift, "relative", False))
        if self._relative not in (None, relative):
            raise ValueError(
                "The plan and the drift measure bandwidths in different units: "
                "of the data, or relative to the mean distance. Plan with "
                f"`plan_annealing(..., relative={relative})`. Received: a plan "
                f"with relative={self._relative}, a drift with "
                f"relative={relative}"
            )
        model.run.schedule = self.schedule
