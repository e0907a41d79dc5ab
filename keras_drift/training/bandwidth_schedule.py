"""Validates bandwidth schedules, of models and of callbacks."""

import numpy as np

from keras_drift.drifts import KernelDrift
from keras_drift.drifts import bandwidth_gradient
from keras_drift.drifts.signal import ADVICE as SIGNAL_ADVICE
from keras_drift.training.bandwidth_controller import BandwidthController
from keras_drift.training.bandwidth_descent import BandwidthDescent
from keras_drift.training.feature_drifts import drifts_of_features


def resolved(schedule, drift=None):
    """Returns the schedule for an argument.

    Args:
        schedule: a callable from the step to the bandwidth; or a
            `spectral.TrainingPlan` or `AnnealingPlan`, which know their unit of
            length as well.
        drift: the drift that is to follow it, or `None`: not known yet.

    Returns:
        The callable.

    Raises:
        TypeError: if the schedule cannot be called.
        ValueError: if the drift has no bandwidth, or another unit of length.
    """
    # A plan knows its unit of length and its kernel; a schedule does not.
    unit = getattr(schedule, "relative", None)
    kernel = getattr(schedule, "kernel", None)
    schedule = getattr(schedule, "schedule", schedule)
    if not callable(schedule):
        raise TypeError(
            "A bandwidth schedule gives the bandwidth at each step: an "
            "`ExponentialAnnealing`, a Keras schedule or a `TrainingPlan`. "
            f"Received: schedule={schedule!r}"
        )
    if drift is not None:
        _check_drift(drift, unit)
        if kernel is not None:
            _check_kernel(drift, kernel)
    return schedule


def follow(schedule, drift, step):
    """Sets the bandwidth of a step.

    Args:
        schedule: a callable, a `BandwidthController` or a `BandwidthDescent`.
        drift: the drift of the model.
        step: int or int scalar tensor, the optimizer step.
    """
    if isinstance(schedule, BandwidthController):
        schedule.begin(drift, step)
    elif not isinstance(schedule, BandwidthDescent):  # which starts anywhere
        drift.anneal(schedule(step))


def attach(schedule, model):
    """Makes a schedule that of the current `fit`, or of the next one.

    Args:
        schedule: see `follow`.
        model: the `DriftModel`.

    Raises:
        ValueError: if this `fit` has one already.
    """
    if model.run.is_training and model.run.schedule is not None:
        raise ValueError(
            "One `fit` follows one schedule of the bandwidth. Received: "
            "more than one `BandwidthAnnealing`, `AdaptiveBandwidth` or "
            "`LearnedBandwidth` among the callbacks"
        )
    model.run.schedule = schedule


def check_adaptive(drift):
    """Raises an error if the signal of a drift cannot be measured."""
    drift.check_annealable()
    for part in drifts_of_features(drift):
        if part.has_bandwidth and not part.measures_signal:
            raise ValueError(
                "A bandwidth adapts to the signal of its field, which "
                f"`{type(part).__name__}` cannot measure: {SIGNAL_ADVICE} "
                f"Received: drift={type(part).__name__}"
            )


def check_learnable(drift):
    """Raises an error if the bandwidth of a drift cannot be learned."""
    for part in drifts_of_features(drift):
        if not isinstance(part, KernelDrift):
            raise ValueError(
                "A bandwidth is learned from the kernel masses of positives "
                "and negatives, so it needs a `KernelDrift`, or one for each "
                f"feature. Received: drift={type(part).__name__}"
            )
        bandwidth_gradient.check_learnable(part)
    drift.check_annealable()


def _check_drift(drift, unit):
    drift.check_annealable()
    if unit is None:
        return
    if drift.bandwidth_unit == "neighbor radius":
        raise ValueError(
            "A plan gives bandwidths as lengths, but those of this drift are "
            "multiples of neighbor radii, which follow the samples by "
            "themselves. Train without a plan, or give a schedule of the "
            f"multiple. Received: a plan, a {type(drift).__name__}"
        )
    relative = bool(drift.relative)
    if unit != relative:
        raise ValueError(
            "The plan and the drift measure bandwidths in different units: of "
            "the data, or relative to the mean distance. Plan with "
            f"`relative={relative}`. Received: a plan "
            f"with relative={unit}, a drift with relative={relative}"
        )


def _check_kernel(drift, kernel):
    """Refuses a drift whose bandwidths are not those that a plan is for."""
    own = np.ravel(drift.initial_bandwidth)
    planned = np.ravel(kernel.initial_bandwidth)
    name = type(getattr(drift, "kernel", kernel)).__name__
    if (
        name == type(kernel).__name__
        and own.shape == planned.shape
        and np.allclose(own / own.max(), planned / planned.max(), rtol=1e-3)
    ):
        return
    raise ValueError(
        "The plan is for its own kernel, of which the schedule sets the largest"
        " bandwidth. Give the drift this kernel: `KernelDrift(plan.kernel)`, or"
        " plan with the `kernel` and the `ratios` of the drift. Received: a "
        f"plan for {type(kernel).__name__}({planned.tolist()}), a drift with "
        f"{name}({own.tolist()})"
    )
