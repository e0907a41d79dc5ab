"""The signal of a field above its sampling noise."""

from typing import Any
from typing import NamedTuple

from keras import ops

# What is changed by a measurement moves by this share of its error: a single
# measurement of a wide bandwidth is mostly chance.
GAIN = 0.1

ADVICE = (
    "the velocity of a sample must not depend on which others are moved with "
    "it. Use `KernelDrift` with 'row', 'sharp' or 'score' normalization, "
    "`MMDDrift` or `FDivergenceDrift`."
)


class Signal(NamedTuple):
    """Mean squares of a field, and of the part that is sampling noise.

    Both are measured from two independent halves of the points: their mean
    estimates the field, half their difference its error. One measurement of a
    wide bandwidth is uncertain, since all samples share one error: average over
    batches, as `share_error` does in `KernelDrift(signal_share=True)`.

    Attributes:
        power: float32 tensor `(bandwidths,)`, the mean square of the mean of
            both halves, per coordinate, in the units of the samples squared;
            `(features, bandwidths)` where features share the field.
        noise: float32 tensor of that shape, the expected mean square of its
            error.
    """

    power: Any
    noise: Any

    @property
    def share(self):
        """The share of signal, `max(1 - noise / power, 0)`: a tensor.

        It is the factor that makes the mean square error of the field least,
        by the positive part of James and Stein.
        """
        share = _ratio(self.power - self.noise, self.power)
        return ops.maximum(share, 0.0)

    def share_error(self, share):
        """How far a share is below the measured one, in `[-1, 1]`.

        It is `((1 - share) power - noise) / (power + noise)`, bounded even
        without a signal. Small multiples of it, added after every measurement,
        lead to the share of signal; or to a share that is lower by up to 0.1
        where few numbers are measured, as by a wide bandwidth in one dimension.

        Args:
            share: float, or tensor `(bandwidths,)`.

        Returns:
            float32 tensor `(bandwidths,)`, the mean over the features.
        """
        share = ops.convert_to_tensor(share, "float32")
        error = _ratio(
            (1.0 - share) * self.power - self.noise, self.power + self.noise
        )
        return ops.mean(ops.reshape(error, (-1, error.shape[-1])), axis=0)


def refuse_shares(name, *drifts):
    """Raises an error if a part of a drift needs its share of signal.

    Args:
        name: str, the class that combines the drifts.
        *drifts: `Drift`s.
    """
    for drift in drifts:
        if drift.needs_signal:
            raise ValueError(
                f"A `{name}` does not measure the share of signal of its "
                "parts, which would stay at 1. Use the drift by itself, or "
                f"without `signal_share`. Received: `{type(drift).__name__}` "
                "with signal_share=True"
            )


def _ratio(numerator, denominator):
    """A ratio that is zero where no field is."""
    empty = denominator <= 0
    ratio = numerator / ops.where(empty, 1.0, denominator)
    return ops.where(empty, 0.0, ratio)
