"""Checks what schedules give in the steps of one `fit`."""

import numpy as np
from keras import ops

# Of the steps of a `fit`, evenly spaced, the first and the last included.
_NUM_CHECKED = 9


def steps_of_fit(model, batches):
    """The optimizer steps before and after the batches of a `fit`.

    Args:
        model: the compiled `DriftModel`.
        batches: int, in whole epochs, or `None` if it is unknown: one step.

    Returns:
        `(start, end)`, ints.
    """
    optimizer = model.optimizer
    start = int(ops.convert_to_numpy(optimizer.iterations))
    if batches is None:
        return start, start + 1
    if model.run.position is not None:  # in the middle of an epoch
        batches -= model.run.position["batch"]
    accumulated = getattr(optimizer, "gradient_accumulation_steps", 1) or 1
    return start, start + batches * model.frozen_steps // accumulated


def check_all(model, batches):
    """Checks the schedules that belong to a model, see `check`.

    Args:
        model: the compiled `DriftModel`.
        batches: see `steps_of_fit`.
    """
    steps = steps_of_fit(model, batches)
    if callable(model.step_size):
        check("step size", model.step_size, steps)
    if model.bandwidth_schedule is not None:
        check("bandwidth", model.bandwidth_schedule, steps)


def check(name, schedule, steps):
    """Refuses a schedule whose values are negative or not finite.

    Only some of the steps are looked at, which finds every monotonic schedule.
    A bandwidth of zero is bounded below, see `Annealable.anneal`.

    Args:
        name: str, what the schedule is of.
        schedule: callable from the step to the value.
        steps: `(start, end)`, ints, of the optimizer.

    Raises:
        ValueError: with the first such value found, and its step.
    """
    start, end = steps
    last = max(end - 1, start)
    for step in np.unique(np.linspace(start, last, _NUM_CHECKED, dtype=int)):
        value = schedule(ops.convert_to_tensor(step, "int32"))
        value = float(ops.convert_to_numpy(value))
        if not (np.isfinite(value) and value >= 0):
            raise ValueError(
                f"The schedule of the {name} must give finite values >= 0 in "
                f"all steps of the optimizer that `fit` takes, here {start} to "
                f"{last}. Received: {value:.6g} at step {step}"
            )
