"""Planning of a bandwidth schedule from a range of frequencies."""

import math
from typing import NamedTuple

import numpy as np

from keras_drift import checks
from keras_drift.schedules import ExponentialAnnealing
from keras_drift.spectral.convergence_time import needed_damping
from keras_drift.spectral.dispersion import dim_of_rates
from keras_drift.spectral.dispersion import kernel_of_space
from keras_drift.spectral.dispersion import rates_at
from keras_drift.spectral.frequency_range import planned_range
from keras_drift.spectral.frequency_range import unit_of_length


class AnnealingPlan(NamedTuple):
    """An annealing schedule with its derivation; `print` shows it.

    Attributes:
        schedule: `ExponentialAnnealing`, of the largest bandwidth.
        num_steps: int, training steps until every mode has converged.
        k_min: float, the lowest frequency, in radians per unit of length.
        k_max: float, the highest one.
        explanation: str, what was chosen and why.
        relative: bool, whether lengths are in units of the mean distance.
    """

    schedule: ExponentialAnnealing
    num_steps: int
    k_min: float
    k_max: float
    explanation: str
    relative: bool = False

    def __str__(self):
        return self.explanation


def plan_annealing(
    data=None,
    *,
    k_min=None,
    k_max=None,
    tolerance=0.01,
    step_size=1.0,
    kernel="gaussian",
    dim=None,
    seed=0,
    verbose=True,
    relative=False,
):
    """The fastest exponential annealing for a range of frequencies.

    With the bandwidth `sigma(t) = sigma_0 exp(-r t)`, the error of a mode `k`
    is damped by a total of
    `(exp(-sigma_end^2 k^2 / 2) - exp(-sigma_0^2 k^2 / 2)) / r` with a Gaussian,
    and by the integral of its rates with any other kernel: nearly the same for
    all modes in the range. A wider start and a narrower end damp more, but take
    longer; the plan is the compromise that needs the fewest steps.

    The theory moves samples by `step_size` times the velocity in every step. A
    generator that follows more slowly, because of a small learning rate, needs
    more steps: lower `step_size` to the fraction that it follows, or choose
    `plan_training`, which takes the number of steps instead.

    Args:
        data: float array `(n, ...)`, samples from which to estimate `k_min` and
            `k_max` where they are not given: half a wavelength is at most the
            largest distance, without the outermost samples, and at least the
            distance of nearest neighbors or the scale at which the power
            spectrum reaches the noise level of `n` samples. A direction in
            which the data are much thinner than in others is fine detail and
            raises `k_max`: standardize columns of different units first.
        k_min: float > 0, the lowest angular frequency, in radians per unit of
            length. Defaults to `None`: from the data.
        k_max: float >= `k_min`, the highest. Defaults to `None`: from the data.
        tolerance: float in (0, 1), the share of an error that may remain in
            every mode of the range. Defaults to `0.01`.
        step_size: float > 0, the share of the velocity that a training step
            moves a sample. Defaults to `1.0`.
        kernel: a `Kernel`, its name or its config. Of several bandwidths the
            plan is for the largest. Defaults to `"gaussian"`.
        dim: int >= 1, the dimension of the samples. Defaults to `None`: the
            number of coordinates of the data that vary, or 1. It does not
            matter for a Gaussian.
        seed: int, of the random subset and directions that estimates from the
            data use. Defaults to `0`.
        verbose: bool, whether to print the explanation. Defaults to `True`.
        relative: bool, whether the schedule is for a drift with
            `relative=True`: its bandwidths are then in units of the mean
            distance between two samples of the data. Frequencies stay in the
            units of the data. Defaults to `False`: all are.

    Returns:
        An `AnnealingPlan`.

    Raises:
        ValueError: if there are neither data nor a range, if `relative` has no
            data to measure, or if an argument is out of its range.

    Example:

    >>> from keras_drift import spectral
    >>> plan = spectral.plan_annealing(k_min=1.0, k_max=50.0)
    Frequencies: 1 to 50 radians per unit of length, waves of 6.28
    down to 0.126 (as given).
    Bandwidths are in the units of the data, for a drift with relative=False.
    Start at bandwidth 2.02, where the coarsest mode still decays quickly, and
    end at 0.0106, where the finest one does.
    In between, shrink by 17.2% per step: each of these modes then decays to 1%
    or less of its error.
    Steps: 29. Each doubling of k_max adds 4.
    For a Gaussian kernel and samples that follow the drift at step_size=1;
    a generator lags: see `plan_training`.
    >>> plan.num_steps
    29

    Reference:

    - [Turan et al., 2026](https://arxiv.org/abs/2603.09936)
    """
    needed = needed_damping(tolerance)
    checks.positive_number("step_size", step_size)
    checks.boolean("relative", relative)
    data, dim, k_min, k_max, in_words = planned_range(
        data, dim, k_min, k_max, seed
    )
    kernel = kernel_of_space(kernel)
    length, unit = unit_of_length(data, relative, seed)
    wide, narrow, caught = _balance(kernel, dim, k_max / k_min)
    initial, final = wide / k_min / length, narrow / k_max / length
    rate = step_size * caught / needed
    schedule = ExponentialAnnealing(initial, final, rate)
    # One more: a sum of rates is nearest to their integral when both ends are
    # among them.
    num_steps = math.ceil(schedule.num_steps) + 1
    explanation = (
        f"{in_words}{unit}"
        f"Start at bandwidth {initial:.3g}, where the coarsest mode still "
        f"decays quickly, and\nend at {final:.3g}, where the finest one "
        f"does.\nIn between, shrink by {100 * -math.expm1(-rate):.3g}% per "
        f"step: each of these modes then decays to {100 * tolerance:.3g}%\nor "
        "less of its error.\n"
        f"Steps: {num_steps}. Each doubling of k_max adds "
        f"{math.log(2) / rate:.0f}.\n"
        f"For a {type(kernel).__name__} kernel and samples that follow the "
        f"drift at step_size={step_size:g};\na generator lags: see "
        "`plan_training`."
    )
    if verbose:
        print(explanation)
    return AnnealingPlan(
        schedule, num_steps, k_min, k_max, explanation, relative
    )


def _balance(kernel, dim, ratio):
    """Start and end of the sweep, and the damping that every mode gets.

    Lengths are in radians of the mode, `u = sigma k`. A sweep from `u_0` to
    `u_end` at the rate `r` damps by `(S(u_0) - S(u_end)) / r`, where
    `S(u) = integral_0^u rate(v) dv / v`; for a Gaussian `1 - exp(-u^2 / 2)`.
    The start omits as much of `S` for the coarsest mode as the end does for the
    finest one.

    Returns:
        `u_0` of the coarsest mode, `u_end` of the finest one, and the smaller
        of their shares of `S`, a lower bound for all modes in between.
    """
    log_u, swept = _swept(kernel, dim)
    total = swept[-1]
    share = np.linspace(0.505, 0.995, 197)
    log_wide = np.interp(share * total, swept, log_u)
    log_narrow = np.interp((1 - share) * total, swept, log_u)
    log_ratio = math.log(ratio)

    def between(start, end):
        return np.interp(start, log_u, swept) - np.interp(end, log_u, swept)

    coarsest = between(log_wide, log_narrow - log_ratio)
    finest = between(log_wide + log_ratio, log_narrow)
    caught = np.minimum(coarsest, finest)
    length = log_wide - log_narrow + log_ratio
    best = np.argmin(length / caught)
    return math.exp(log_wide[best]), math.exp(log_narrow[best]), caught[best]


def _swept(kernel, dim):
    """`S(u)` on a grid of `log u`, by the trapezoid rule."""
    log_u, step = np.linspace(-14.0, 14.0, 28001, retstep=True)
    dim = dim_of_rates(kernel, dim)
    widths = kernel.bandwidth_ratios().reshape(-1)
    rates = rates_at(kernel, widths, np.exp(log_u), dim, "mean_shift")
    rates = rates.mean(axis=0)
    steps = 0.5 * step * (rates[1:] + rates[:-1])
    return log_u, np.concatenate([[0.0], np.cumsum(steps)])
