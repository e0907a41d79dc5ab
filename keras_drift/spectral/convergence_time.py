"""The training time until each frequency has converged."""

import math

import numpy as np
from keras import ops

from keras_drift import checks
from keras_drift.spectral.dispersion import checked_frequencies
from keras_drift.spectral.dispersion import checked_weights
from keras_drift.spectral.dispersion import kernel_of_space
from keras_drift.spectral.dispersion import rates_at

_STEPS_AT_ONCE = 4096


def convergence_time(
    kernel,
    frequencies,
    dim,
    tolerance=0.01,
    schedule=None,
    step_size=1.0,
    field="mean_shift",
    max_steps=1_000_000,
    weights=None,
):
    """Training steps until the error at each frequency is below a tolerance.

    A training step multiplies the error of a mode by `exp(-step_size * rate)`,
    where `dispersion` gives the rate at the bandwidth of that step. Use it to
    compare bandwidths and schedules before training.

    Args:
        kernel: a `Kernel`, its name or its config. The rates of several
            bandwidths are averaged, as a drift averages their fields, or
            added with `weights`.
        frequencies: float array >= 0, radians per unit of length.
        dim: int >= 1, the dimension of the samples.
        tolerance: float in (0, 1), the fraction of the error that may remain.
            Defaults to `0.01`.
        schedule: callable from the step to the bandwidth, such as
            `schedules.ExponentialAnnealing` or a Keras schedule. Of several
            bandwidths it sets the largest; the others keep their ratio to it.
            It is called with an array of steps, or step by step if it takes
            no array. Defaults to `None`: a constant bandwidth.
        step_size: float > 0, the fraction of the velocity by which a training
            step moves a sample. Defaults to `1.0`.
        field: `"mean_shift"`, `"score"` or `"sharp"`, see `dispersion`.
        max_steps: int >= 1, how far the schedule is followed; beyond, the last
            bandwidth is kept. Defaults to a million.
        weights: floats, one for each bandwidth: the `bandwidth_weights` of a
            `KernelDrift`, such as those of `plan_bandwidths`. Defaults to
            `None`: the mean of the rates.

    Returns:
        float64 NumPy array shaped like `frequencies`, in training steps, not
        rounded; `inf` where the error does not decay.

    Raises:
        ValueError: if an argument is out of its range, or if the schedule gives
            a bandwidth that is not positive.

    Example:

    >>> from keras_drift import kernels, schedules, spectral
    >>> kernel, xi = kernels.Gaussian(1.0), [1.0, 4.0, 16.0]
    >>> spectral.convergence_time(kernel, xi, dim=2).round(0).tolist()
    [8.0, 858.0, 6.9...e+53]
    >>> annealing = schedules.ExponentialAnnealing(4.0, 0.03, rate=0.15)
    >>> spectral.convergence_time(
    ...     kernel, xi, dim=2, schedule=annealing
    ... ).round(0).tolist()
    [11.0, 20.0, 29.0]

    Reference:

    - [Turan et al., 2026](https://arxiv.org/abs/2603.09936)
    """
    kernel = kernel_of_space(kernel)
    frequencies = checked_frequencies(frequencies)
    checks.positive_number("step_size", step_size)
    checks.positive_integer("max_steps", max_steps)
    needed = needed_damping(tolerance)
    initial = kernel.initial_bandwidth.astype("float64").reshape(-1)
    weights = checked_weights(weights, initial.size)
    flat = frequencies.reshape(-1)

    def damping(largest):
        """Log-damping by a step, for each of the largest bandwidths."""
        widths = largest[:, None] * (initial / initial.max())
        rates = rates_at(kernel, widths, flat, dim, field)
        return step_size * np.einsum("b,sbk->sk", weights, rates)

    if schedule is None:
        width = ops.convert_to_numpy(ops.max(kernel.bandwidth))
        steps = _at_a_constant_rate(needed, damping(width.reshape(1))[0])
    else:
        steps = _along(schedule, damping, needed, flat, max_steps)
    return steps.reshape(frequencies.shape)


def needed_damping(tolerance):
    """`log(1 / tolerance)`, to which the rates must add up."""
    checks.positive_number("tolerance", tolerance)
    if tolerance >= 1:
        raise ValueError(
            "`tolerance` is the fraction of an error that may remain, below 1. "
            f"Received: tolerance={tolerance!r}"
        )
    return -math.log(tolerance)


def _along(schedule, damping, needed, frequencies, max_steps):
    """Accumulates the damping of consecutive chunks of steps."""
    steps = np.full(frequencies.size, np.inf)
    collected = np.zeros(frequencies.size)
    for start in range(0, max_steps, _STEPS_AT_ONCE):
        stretch = np.arange(start, min(start + _STEPS_AT_ONCE, max_steps))
        per_step = damping(_bandwidths(schedule, stretch))
        sums = collected + np.cumsum(per_step, axis=0)
        arriving = np.flatnonzero(np.isinf(steps) & (sums[-1] >= needed))
        last = np.argmax(sums >= needed, axis=0)[arriving]
        # The unused fraction of the last step.
        excess = sums[last, arriving] - needed
        unused = excess / per_step[last, arriving]
        steps[arriving] = stretch[last] + 1 - unused
        collected = sums[-1]
        # At frequency zero, the total mass, there is no error.
        if np.all(np.isfinite(steps) | (frequencies == 0)):
            return steps
    rest = max_steps + _at_a_constant_rate(needed - collected, per_step[-1])
    return np.where(np.isinf(steps), rest, steps)


def _at_a_constant_rate(needed, per_step):
    with np.errstate(divide="ignore", over="ignore"):
        return needed / per_step


def _bandwidths(schedule, steps):
    """The bandwidths at the steps: a float64 array."""
    widths = None
    try:
        widths = schedule(ops.convert_to_tensor(steps, "float32"))
        widths = ops.convert_to_numpy(widths)
    except Exception:
        # A Python `if` or `max`, or Keras' warm-up, needs a scalar step.
        widths = None
    if np.shape(widths) != steps.shape:
        widths = [float(schedule(int(step))) for step in steps]
    widths = np.asarray(widths, "float64")
    if not np.all(np.isfinite(widths) & (widths > 0)):
        raise ValueError(
            "A schedule of the bandwidth stays positive and finite. Received: "
            f"{widths.min()} between steps {steps[0]} and {steps[-1]}"
        )
    return widths
