"""Power-law distribution of guidance scales for training."""

import keras
import numpy as np
from keras import ops

from keras_drift import checks


@keras.saving.register_keras_serializable("keras_drift")
class PowerLawGuidance:
    """Power-law distribution of guidance scales, one for each group.

    The density is proportional to `scale**-power` between the bounds. A scale
    of 1 means no guidance; with larger ones samples of a class are also
    repelled by data of all classes. The scale is an input of the generator, so
    that `generate(guidance=...)` takes one forward pass.

    Args:
        low: float >= 1, the smallest scale. Defaults to `1.0`.
        high: float > `low`, the largest scale. Defaults to `4.0`.
        power: float >= 0, the exponent of the power law; 0 is uniform. Defaults
            to `3.0`.
        plain_fraction: float in `[0, 1]`, the fraction of groups with scale 1,
            in addition to the power law. Defaults to `0.0`.

    Reference:

    - [Deng et al., 2026](https://arxiv.org/abs/2602.04770), appendix A.7
    """

    def __init__(self, low=1.0, high=4.0, power=3.0, plain_fraction=0.0):
        self.low = checks.positive_number("low", low)
        self.high = checks.positive_number("high", high)
        self.power = checks.non_negative_number("power", power)
        self.plain_fraction = checks.fraction("plain_fraction", plain_fraction)
        if low < 1 or high <= low:
            raise ValueError(
                "Guidance scales are at least 1, which is no guidance, and "
                f"need `high` above `low`. Received: low={low}, high={high}"
            )

    def sample(self, shape, seed):
        """Draws random scales, also inside compiled code.

        Args:
            shape: tuple of ints.
            seed: int or `keras.random.SeedGenerator`.

        Returns:
            float32 tensor.
        """
        share = keras.random.uniform(shape, dtype="float32", seed=seed)
        plain = keras.random.uniform(shape, dtype="float32", seed=seed)
        scales = self.quantile(share)
        return ops.where(plain < self.plain_fraction, 1.0, scales)

    def quantile(self, share):
        """The quantile function of the power law."""
        if self.power == 1:
            return self.low * (self.high / self.low) ** share
        rest = 1 - self.power
        low, high = self.low**rest, self.high**rest
        return (low + share * (high - low)) ** (1 / rest)

    def get_config(self):
        """The arguments of the constructor."""
        return {
            "low": self.low,
            "high": self.high,
            "power": self.power,
            "plain_fraction": self.plain_fraction,
        }

    @classmethod
    def from_config(cls, config):
        """Creates a distribution from the config of `get_config`."""
        return cls(**config)


def checked_sampler(sampler, generator):
    """Validates a guidance sampler: `None`, or a `PowerLawGuidance`."""
    if sampler is None:
        return None
    if not isinstance(sampler, PowerLawGuidance):
        raise TypeError(
            "`guidance_sampler` is a `PowerLawGuidance`, the distribution of "
            "the scales to train for. "
            f"Received: guidance_sampler={sampler!r}"
        )
    if generator.num_classes is None:
        raise ValueError(
            "Guidance strengthens the class of a sample, so the generator "
            "needs `num_classes`. Received: a generator without classes"
        )
    if "guidance" not in generator.input_keys:
        raise ValueError(
            "Guidance scales are trained for as an input of the generator: "
            "build it with an input named 'guidance', or leave out "
            "`guidance_sampler`. Received: a generator with inputs "
            f"{', '.join(generator.input_keys)}"
        )
    return sampler


def check_scales(scales, trained):
    """Validates guidance scales for sampling.

    Args:
        scales: float, or an array of them.
        trained: the `PowerLawGuidance` of the model, or `None`.
    """
    low, high = (1.0, 1.0) if trained is None else (trained.low, trained.high)
    values = np.asarray(scales, "float64")
    if not np.all((values == 1) | ((values >= low) & (values <= high))):
        how = (
            "a guidance scale of 1 only; give it "
            "`guidance_sampler=PowerLawGuidance(...)` to train for others"
            if trained is None
            else f"guidance scales from {low} to {high}"
        )
        raise ValueError(
            f"This model was trained for {how}. Received: guidance={scales!r}"
        )
