"""Planning of several bandwidths at once from a range of frequencies."""

import math
import textwrap
from typing import Any
from typing import NamedTuple

import numpy as np

from keras_drift import checks
from keras_drift.spectral.dispersion import dim_of_rates
from keras_drift.spectral.dispersion import kernel_of_space
from keras_drift.spectral.dispersion import rates_at
from keras_drift.spectral.frequency_range import planned_range

_MOST_BANDWIDTHS = 32
_FREQUENCIES = 200
_ITERATIONS = 1000


class BandwidthPlan(NamedTuple):
    """Bandwidths with their weights and derivation; `print` shows it.

    Attributes:
        kernel: `Kernel` with the bandwidths, in descending order.
        weights: tuple of floats, one for each bandwidth, such that the largest
            rate of the range is 1.
        flatness: float >= 1, the largest rate of the range over the smallest.
        k_min: float, the lowest frequency, in radians per unit of length.
        k_max: float, the highest one.
        explanation: str, what was chosen and why.
    """

    kernel: Any
    weights: tuple
    flatness: float
    k_min: float
    k_max: float
    explanation: str

    def __str__(self):
        return self.explanation


def plan_bandwidths(
    data=None,
    *,
    k_min=None,
    k_max=None,
    flatness=1.3,
    kernel="gaussian",
    dim=None,
    field="mean_shift",
    seed=0,
    verbose=True,
):
    """The fewest bandwidths whose drift removes a range of frequencies equally.

    One bandwidth removes errors of about its own size quickly and all others
    slowly, see `dispersion`. The rates of several bandwidths add up: with the
    right weights, every frequency of the range decays at nearly one rate, in
    every step and without a schedule. Choose it over `plan_annealing` where
    training should not depend on the course of a schedule; it costs one field
    for each bandwidth, which share their distances.

    The bandwidths form a geometric sequence, and their weights solve a
    non-negative least-squares problem. The field of a wide bandwidth from few
    samples is noisier than what a narrow one corrects; lower the wide ones by
    a schedule at the end of training, or use large batches.

    Args:
        data: float array `(n, ...)`, samples from which to estimate `k_min` and
            `k_max` where they are not given, see `plan_annealing`.
        k_min: float > 0, the lowest angular frequency, in radians per unit of
            length. Defaults to `None`: from the data.
        k_max: float >= `k_min`, the highest. Defaults to `None`: from the data.
        flatness: float > 1, the largest rate over the smallest that is
            accepted. Defaults to `1.3`.
        kernel: a `Kernel`, its name or its config; its bandwidth is ignored.
            Defaults to `"gaussian"`.
        dim: int >= 1, the dimension of the samples. Defaults to `None`: the
            number of coordinates of the data that vary, or 1. It does not
            matter for a Gaussian.
        field: the drift, see `dispersion`. Defaults to `"mean_shift"`.
        seed: int, of the random subset and directions that estimates from the
            data use. Defaults to `0`.
        verbose: bool, whether to print the explanation. Defaults to `True`.

    Returns:
        A `BandwidthPlan`.

    Raises:
        ValueError: if there are neither data nor a range, if an argument is out
            of its range, or if no plan is as flat with 32 bandwidths.

    Example:

    >>> from keras_drift import drifts, spectral
    >>> plan = spectral.plan_bandwidths(k_min=1.0, k_max=30.0)
    Frequencies: 1 to 30 radians per unit of length, waves of 6.28
    down to 0.209 (as given).
    Bandwidths (weights): 1.28 (0.925), 0.44 (1), 0.151 (0.923), 0.052 (1.27).
    All modes of the range decay at rates within a factor of 1.21.
    For a Gaussian kernel and the field 'mean_shift'.
    >>> drift = drifts.KernelDrift(
    ...     plan.kernel, bandwidth_weights=plan.weights
    ... )

    Reference:

    - [Turan et al., 2026](https://arxiv.org/abs/2603.09936)
    """
    flatness = checks.positive_number("flatness", flatness)
    if flatness <= 1:
        raise ValueError(
            "`flatness` is the largest rate over the smallest, a number above "
            f"1. Received: flatness={flatness}"
        )
    _, dim, k_min, k_max, in_words = planned_range(
        data, dim, k_min, k_max, seed
    )
    kernel = kernel_of_space(kernel)
    dim = dim_of_rates(kernel, dim)
    k = np.geomspace(k_min, k_max, _FREQUENCIES)
    for count in range(1, _MOST_BANDWIDTHS + 1):
        found, bandwidths, weights = _flattest(kernel, k, dim, field, count)
        if found <= flatness:
            break
    else:
        raise ValueError(
            f"{_MOST_BANDWIDTHS} bandwidths of a `{type(kernel).__name__}` are "
            "not enough for this range. Accept a larger `flatness`, or a "
            f"smaller range. Received: flatness={flatness}, k_min={k_min:.3g}, "
            f"k_max={k_max:.3g}, where {found:.3g} was reached"
        )
    pairs = ", ".join(
        f"{bandwidth:.3g} ({weight:.3g})"
        for bandwidth, weight in zip(bandwidths, weights, strict=True)
    )
    explanation = (
        in_words
        + textwrap.fill(f"Bandwidths (weights): {pairs}.", 76)
        + "\nAll modes of the range decay at rates within a factor of "
        f"{found:.3g}.\nFor a {type(kernel).__name__} kernel and the field "
        f"{field!r}."
    )
    if verbose:
        print(explanation)
    config = {**kernel.get_config(), "bandwidth": bandwidths.tolist()}
    return BandwidthPlan(
        type(kernel).from_config(config),
        tuple(weights.tolist()),
        found,
        k_min,
        k_max,
        explanation,
    )


def _flattest(kernel, k, dim, field, count):
    """The flattest geometric sequence of so many bandwidths.

    Returns:
        The ratio of rates, the bandwidths and their weights.
    """
    # The bandwidth at which one frequency decays fastest, times it.
    u = np.geomspace(1e-3, 1e3, 2401)
    best_u = u[np.argmax(rates_at(kernel, u, np.ones(1), dim, field)[:, 0])]
    best = None
    # The ends lie within the range, or a little beyond.
    for margin in np.linspace(-0.2, 1.4, 17):
        wide = best_u / k[0] * math.exp(-margin)
        narrow = best_u / k[-1] * math.exp(margin)
        if narrow > wide and count > 1:
            continue
        bandwidths = np.geomspace(wide, narrow, count)
        if count == 1:
            bandwidths = np.array([math.sqrt(wide * narrow)])
        rates = rates_at(kernel, bandwidths, k, dim, field).T
        weights = _non_negative_weights(rates)
        total = rates @ weights
        ratio = total.max() / total.min()
        if best is None or ratio < best[0]:
            best = float(ratio), bandwidths, weights / total.max()
    return best


def _non_negative_weights(rates):
    """Non-negative least squares for a rate of one at all frequencies.

    By multiplicative updates, since all numbers are positive.

    Args:
        rates: float64 array `(frequencies, bandwidths)`.
    """
    correlation = rates.T @ rates
    target = rates.sum(axis=0)
    weights = np.full(rates.shape[1], 1.0 / rates.sum(axis=1).mean())
    for _ in range(_ITERATIONS):
        weights = weights * target / (correlation @ weights)
    return weights
