"""Adaptation of the bandwidth to the signal during `fit`."""

import keras

from keras_drift.callbacks.attach import require_drift_model
from keras_drift.training import bandwidth_schedule
from keras_drift.training.bandwidth_controller import BandwidthController


class AdaptiveBandwidth(keras.callbacks.Callback):
    """Lowers the bandwidth once its field is down to sampling noise.

    A field from finitely many points has a random error. At a wide bandwidth
    the field is mostly signal at first; when the coarse structure has been
    learned, mostly noise is left, and it is time for a narrower one. For every
    fourth batch the callback measures the share of signal at the largest
    bandwidth from two halves of the batch, inside the compiled step and for a
    few percent of its cost, and lowers the bandwidth while the share is below a
    threshold, or raises it while it is above. There is no rate to choose: a
    generator that learns slowly gets a slow schedule. Choose it over
    `BandwidthAnnealing` where the number of steps is not fixed. The halves must
    be independent, so the data must be in random order, as `fit` puts arrays.

    The bandwidth appears in the logs. It is a weight of the model, so training
    that is resumed continues with it. A callback takes precedence over the
    `bandwidth_schedule` of a model.

    Args:
        initial: float > 0, the largest bandwidth at the first step of the
            optimizer, and its upper bound; or a plan,
            `spectral.plan_training(data, num_steps)`, whose initial and final
            bandwidths are the bounds. Several bandwidths keep their ratios.
        final: float > 0, the lower bound of the largest bandwidth. It is needed
            since below the distance of neighbors all is noise. Defaults to
            `None`: that of the plan.
        threshold: float in (0, 1), the share of signal that is kept. Higher
            ones lower the bandwidth earlier. In one or two dimensions, where a
            measurement is uncertain, it acts as if it were up to 0.1 higher.
            Defaults to `0.75`.

    Example:

    >>> import keras_drift as kd
    >>> data = kd.datasets.two_moons(512, seed=0)
    >>> model = kd.DriftModel(kd.generators.MLP(output_dim=2), seed=0)
    >>> model.compile("adam")
    >>> history = model.fit(
    ...     data,
    ...     epochs=2,
    ...     verbose=0,
    ...     callbacks=[kd.callbacks.AdaptiveBandwidth(1.0, final=0.1)],
    ... )
    >>> all(0.1 <= width <= 1.0 for width in history.history["bandwidth"])
    True

    Reference:

    - [Turan et al., 2026](https://arxiv.org/abs/2603.09936), annealing
    """

    def __init__(self, initial, final=None, threshold=0.75):
        super().__init__()
        self._plan = None
        if hasattr(initial, "schedule"):
            self._plan = initial
            initial, planned = initial.schedule.initial, initial.schedule.final
            final = planned if final is None else final
        if final is None:
            raise ValueError(
                "Below the distance of neighbors a field is noise at every "
                "bandwidth, so there is a lower bound: give `final`, or a plan "
                "such as `spectral.plan_training(data, num_steps)`. "
                f"Received: initial={initial}, final=None"
            )
        self._controller = BandwidthController(initial, final, threshold)

    def set_model(self, model):
        require_drift_model(self, model)
        super().set_model(model)
        if self._plan is not None:
            bandwidth_schedule.resolved(self._plan, model.drift)
        bandwidth_schedule.check_adaptive(model.drift)
        bandwidth_schedule.attach(self._controller, model)
