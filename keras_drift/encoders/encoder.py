"""The base class of all encoders."""

import keras

from keras_drift.presets import PresetMixin


class Encoder(PresetMixin, keras.layers.Layer):
    """Frozen map from samples to the features that a drift compares.

    Subclasses write `call`.

    Args:
        dtype: the type that samples are cast to. Defaults to `"float32"`
            whatever the global policy, lest half precision round the samples
            before they are compared.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        samples: float tensor `(batch, *sample_shape)`.

    Returns:
        A dict from feature names to float tensors `(batch, tokens, dim)`. Each
        token of a feature is compared with the same token of other samples.
    """

    def __init__(self, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)
        self.trainable = False

    def require(self):
        """Raises an error if the encoder was not loaded with its model."""
