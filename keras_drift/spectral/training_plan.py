"""Planning of the bandwidths of a training run."""

import math
from typing import NamedTuple

import keras
import numpy as np

from keras_drift import checks
from keras_drift import kernels
from keras_drift.bandwidth_owner import TWO_SCALES
from keras_drift.schedules import ExponentialAnnealing
from keras_drift.spectral.dispersion import kernel_of_space
from keras_drift.spectral.fixed_bandwidth import peak_frequency
from keras_drift.spectral.frequency_range import planned_range
from keras_drift.spectral.frequency_range import unit_of_length

_ANNEALED_SHARE = 0.6
_NUM_STEPS = (
    "is the number of training steps, an integer of at least 2: epochs times "
    "steps per epoch"
)


class TrainingPlan(NamedTuple):
    """The bandwidths of a training run; `print` shows it.

    Attributes:
        kernel_config: dict, the serialized `kernel`.
        schedule: `ExponentialAnnealing`, of the largest bandwidth.
        num_steps: int, the training steps.
        k_min: float, the lowest frequency, in radians per unit of length.
        k_max: float, the highest one.
        explanation: str, what was chosen and why.
        relative: bool, whether lengths are in units of the mean distance.
    """

    kernel_config: dict
    schedule: ExponentialAnnealing
    num_steps: int
    k_min: float
    k_max: float
    explanation: str
    relative: bool = False

    @property
    def kernel(self):
        """A new `Kernel` with the initial bandwidths, in descending order."""
        # New ones, since training changes the bandwidth of a kernel.
        return kernels.get(self.kernel_config)

    def __str__(self):
        return self.explanation


def plan_training(
    data=None,
    num_steps=None,
    *,
    k_min=None,
    k_max=None,
    kernel="gaussian",
    dim=None,
    ratios=TWO_SCALES,
    seed=0,
    verbose=True,
    relative=False,
):
    """The bandwidths of a training run: how wide, from the data.

    The largest bandwidth starts where the coarsest mode of the data decays
    fastest, and the smallest ends where the finest one does, see `dispersion`.
    For 60% of the steps they shrink, at a constant rate; the finest details,
    which a network learns last, get the others, at the final bandwidths.

    Choose it for the training of a generator with `BandwidthAnnealing`.
    `plan_annealing` is for particles that follow the drift exactly, as in
    `flows.ParticleFlow`: it needs no number of steps, and ends at a narrower
    bandwidth, whose field is mostly noise in the batches of a generator. This
    plan assumes batches of several hundred samples; for smaller ones lower
    `k_max`.

    Args:
        data: float array `(n, ...)`, samples from which to estimate `k_min` and
            `k_max` where they are not given, see `plan_annealing`. Of a model
            with an encoder, its features of them.
        num_steps: int >= 2, the training steps of the run:
            `epochs * math.ceil(len(data) / batch_size)`.
        k_min: float > 0, the lowest angular frequency, in radians per unit of
            length. Defaults to `None`: from the data.
        k_max: float >= `k_min`, the highest. Defaults to `None`: from the data.
        kernel: a `Kernel`, its name or its config; its bandwidth is ignored.
            Defaults to `"gaussian"`.
        dim: int >= 1, the dimension of the samples. Defaults to `None`: the
            number of coordinates of the data that vary, or 1. It does not
            matter for a Gaussian.
        ratios: floats in (0, 1], the bandwidths over the largest of them, which
            is 1. A single narrow bandwidth does not move mass between distant
            modes; adding a wider one does. Where many separate modes must be
            equally populated, three are better, `(1.0, 0.35, 0.12)`, for half
            as much again of the field's time. Defaults to `(1.0, 0.25)`.
        seed: int, of the random subset and directions that estimates from the
            data use. Defaults to `0`.
        verbose: bool, whether to print the explanation. Defaults to `True`.
        relative: bool, whether the plan is for a drift with `relative=True`,
            see `plan_annealing`. Defaults to `False`.

    Returns:
        A `TrainingPlan`.

    Raises:
        TypeError: if `num_steps` is not an integer.
        ValueError: if there are neither data nor a range, if `relative` has no
            data to measure, or if an argument is out of its range.

    Example:

    >>> from keras_drift import callbacks, drifts, spectral
    >>> plan = spectral.plan_training(num_steps=3000, k_min=1.0, k_max=30.0)
    Frequencies: 1 to 30 radians per unit of length, waves of 6.28
    down to 0.209 (as given).
    Bandwidths are in the units of the data, for a drift with relative=False.
    Start at bandwidths 1.42, 0.354; end at 0.189, 0.0472 after 1800 of 3000
    steps.
    For a Gaussian kernel.
    >>> drift = drifts.KernelDrift(plan.kernel)
    >>> annealing = callbacks.BandwidthAnnealing(plan)

    Reference:

    - [Turan et al., 2026](https://arxiv.org/abs/2603.09936)
    """
    num_steps = _checked_steps(num_steps)
    checks.boolean("relative", relative)
    ratios = _checked_ratios(ratios)
    data, dim, k_min, k_max, in_words = planned_range(
        data, dim, k_min, k_max, seed
    )
    kernel = kernel_of_space(kernel)
    length, unit = unit_of_length(data, relative, seed)
    fastest = peak_frequency(kernel, dim)
    initial = fastest / k_min / length
    # A narrow range leaves nothing to anneal.
    final = min(fastest / k_max / length / ratios.min(), initial)
    annealed = _ANNEALED_SHARE * num_steps
    # A rate above zero, whatever the range.
    rate = max(math.log(initial / final), 1e-6) / annealed
    schedule = ExponentialAnnealing(initial, final, rate)
    course = (
        f"Start at {_in_words(initial * ratios)}; end at "
        f"{_numbers(final * ratios)} after {annealed:.0f} of {num_steps}\n"
        "steps.\n"
    )
    if final == initial:
        course = (
            f"Stay at {_in_words(initial * ratios)}, which span this range.\n"
        )
    explanation = (
        f"{in_words}{unit}{course}For a {type(kernel).__name__} kernel."
    )
    if verbose:
        print(explanation)
    config = {**kernel.get_config(), "bandwidth": (initial * ratios).tolist()}
    kernel = type(kernel).from_config(config)
    return TrainingPlan(
        keras.saving.serialize_keras_object(kernel),
        schedule,
        num_steps,
        k_min,
        k_max,
        explanation,
        relative,
    )


def _checked_steps(num_steps):
    num_steps = checks.positive_integer("num_steps", num_steps, _NUM_STEPS)
    if num_steps < 2:
        raise ValueError(
            f"`num_steps` {_NUM_STEPS}. Received: num_steps={num_steps}"
        )
    return num_steps


def _checked_ratios(ratios):
    """Ratios as a float64 array in descending order."""
    values = np.asarray(
        checks.positive_numbers("ratios", ratios, "is a share"), "float64"
    ).reshape(-1)
    if values.max() != 1:
        raise ValueError(
            "`ratios` are the bandwidths over the largest of them, so the "
            f"largest ratio is 1. Received: ratios={ratios!r}"
        )
    return np.sort(values)[::-1]


def _in_words(bandwidths):
    name = "bandwidths" if len(bandwidths) > 1 else "bandwidth"
    return f"{name} {_numbers(bandwidths)}"


def _numbers(values):
    return ", ".join(f"{value:.3g}" for value in values)
