"""The base class of all encoders."""

import math

import keras

from keras_drift import checks
from keras_drift.presets import PresetMixin


class Encoder(PresetMixin, keras.layers.Layer):
    """Frozen map from samples to the features that a drift compares.

    Subclasses write `call`; and `map_sizes`, if some of the features are maps
    that are not square.

    Args:
        dtype: the type that samples are cast to. Defaults to `"float32"`
            regardless of the global policy, so that half precision does not
            round the samples before they are compared.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        samples: float tensor `(batch, *sample_shape)`.

    Returns:
        A dict from feature names to float tensors `(batch, tokens, dim)`. Each
        token of a feature is compared with the same token of other samples.
    """

    published_format = "keras_drift.converters.convnext"

    def __init__(self, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)
        self.trainable = False

    def __call__(self, samples, *args, **kwargs):
        checks.float_samples(samples)
        return super().__call__(samples, *args, **kwargs)

    @property
    def metrics(self):
        """None, so that a compiled model does not replace the logged loss."""
        return []

    def map_sizes(self, sample_shape):
        """The heights and widths of the features that are maps.

        `Pooled` computes patch statistics of these features. By default they
        are those with a square number of tokens, more than one. Subclasses
        that know better override it.

        Args:
            sample_shape: tuple of ints, the shape of a sample.

        Returns:
            A dict from names of features to `(height, width)`.
        """
        samples = keras.KerasTensor((None, *sample_shape), self.compute_dtype)
        return {
            name: square_sides(feature.shape[1])
            for name, feature in self(samples).items()
            if square_sides(feature.shape[1])
        }

    def require(self):
        """Raises an error if the encoder was not loaded with its model."""

    def missing(self):
        """The `MissingEncoder`s in place of this encoder or parts of it."""
        return ()

    def loaded(self):
        """The encoder with all its parts, loading those that are missing."""
        return self


def square_sides(tokens):
    """`(side, side)` of a square map of so many tokens, or `None`."""
    side = math.isqrt(tokens or 0)
    return (side, side) if side > 1 and side**2 == tokens else None
