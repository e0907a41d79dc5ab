"""Adaptation of a drift to the signal of its field, in training."""

from keras import ops

from keras_drift.drifts.signal import Signal
from keras_drift.training.bandwidth_controller import BandwidthController
from keras_drift.training.bandwidth_descent import BandwidthDescent
from keras_drift.training.feature_drifts import drifts_of_features

# Fields from one measurement to the next: a small network takes hardly longer
# for a step than a measurement does where operations are not compiled.
_PERIOD = 4


def is_due(model, step):
    """Whether a training step measures the signal of the drift.

    Args:
        model: the `DriftModel`.
        step: int scalar tensor, that of the optimizer.

    Returns:
        A bool scalar tensor, or `None`: no step does.
    """
    if not (
        isinstance(model.run.schedule_of(model), BandwidthController)
        or any(each.needs_signal for each in drifts_of_features(model.drift))
    ):
        return None
    fields = ops.convert_to_tensor(step) // model.frozen_steps
    return fields % _PERIOD == 0


def learns_bandwidth(model):
    """Whether training steps learn the bandwidth of the drift."""
    return isinstance(model.run.schedule_of(model), BandwidthDescent)


def adapt(model, targets):
    """Updates the shares of signal, and a bandwidth that follows the samples.

    Args:
        model: the `DriftModel`.
        targets: dict from tuples of names of features to `Target`, those
            of a step.
    """
    measured = {}
    for names, target in targets.items():
        if target.signal is not None:
            drift = model.objective.drift_of(names[0])
            measured.setdefault(id(drift), (drift, []))[1].append(target.signal)
    parts = [(drift, _joined(signals)) for drift, signals in measured.values()]
    for drift, signal in parts:
        if drift.needs_signal:
            drift.update_shares(signal)
    schedule = model.run.schedule_of(model)
    if isinstance(schedule, BandwidthController):
        schedule.update(model.drift, parts)
    if isinstance(schedule, BandwidthDescent):
        gradients = [each.bandwidth_gradient for each in targets.values()]
        schedule.update(model.drift, gradients)


def _joined(signals):
    """The signals of all features of a drift, `(features, bandwidths)`."""
    joined = (
        ops.concatenate([ops.reshape(v, (-1, v.shape[-1])) for v in values])
        for values in zip(*signals, strict=True)
    )
    return Signal(*joined)
