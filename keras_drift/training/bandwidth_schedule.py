"""Validates bandwidth schedules, of models and of callbacks."""


def resolved(schedule, drift=None):
    """The schedule that an argument stands for.

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
    # A plan knows its unit of length; a schedule does not.
    unit = getattr(schedule, "relative", None)
    schedule = getattr(schedule, "schedule", schedule)
    if not callable(schedule):
        raise TypeError(
            "A bandwidth schedule gives the bandwidth at each step: an "
            "`ExponentialAnnealing`, a Keras schedule or a `TrainingPlan`. "
            f"Received: schedule={schedule!r}"
        )
    if drift is not None:
        _check_drift(drift, unit)
    return schedule


def _check_drift(drift, unit):
    drift.check_annealable()
    relative = bool(drift.relative)
    if unit not in (None, relative):
        raise ValueError(
            "The plan and the drift measure bandwidths in different units: of "
            "the data, or relative to the mean distance. Plan with "
            f"`relative={relative}`. Received: a plan "
            f"with relative={unit}, a drift with relative={relative}"
        )
