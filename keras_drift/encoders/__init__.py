"""Frozen maps from samples to the features that a drift compares."""

from keras_drift.encoders.convnextv2 import ConvNeXtV2
from keras_drift.encoders.encoder import Encoder
from keras_drift.encoders.identity import Identity
from keras_drift.encoders.mae_resnet import MAEResNet
from keras_drift.encoders.masked_autoencoder import MaskedAutoencoder
from keras_drift.encoders.missing_encoder import MissingEncoder
from keras_drift.encoders.pooled import Pooled
from keras_drift.encoders.pretrained import Pretrained
from keras_drift.encoders.union import Union
from keras_drift.frozen import freeze

__all__ = [
    "ConvNeXtV2",
    "Encoder",
    "Identity",
    "MAEResNet",
    "MaskedAutoencoder",
    "MissingEncoder",
    "Pooled",
    "Pretrained",
    "Union",
    "build",
    "get",
]


def get(identifier):
    """Returns the encoder for an encoder, a Keras model or layer, or `None`.

    Args:
        identifier: an `Encoder`, which is frozen; any other Keras model or
            layer, which is wrapped into `Pretrained`; or `None`, for
            `Identity`.

    Returns:
        An `Encoder`.
    """
    if identifier is None:
        return Identity()
    if isinstance(identifier, Encoder):
        # A `MaskedAutoencoder` may have trained it.
        freeze(identifier)
        return identifier
    return Pretrained(identifier)


def build(encoder, sample_shape):
    """Builds an encoder for samples of a shape, frozen.

    Args:
        encoder: an `Encoder`.
        sample_shape: tuple of ints, the shape of a sample.
    """
    encoder.build((None, *sample_shape))
    # Layers do not freeze variables that are made later.
    freeze(encoder)
