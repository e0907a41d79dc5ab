"""The identity as an encoder."""

import math

import keras
from keras import ops

from keras_drift.encoders.encoder import Encoder


@keras.saving.register_keras_serializable("keras_drift")
class Identity(Encoder):
    """Compares samples as they are, flattened to vectors.

    The default, and enough for toys, tables and small images. Distances between
    pixels are uninformative for large ones: those need a pretrained encoder.

    Args:
        **kwargs: passed to `Encoder`.

    Call arguments:
        samples: float tensor `(batch, *sample_shape)`.

    Returns:
        `{"samples": (batch, 1, dim)}`.

    Example:

    >>> from keras_drift import encoders
    >>> features = encoders.Identity()(np.zeros((5, 8, 8, 1)))
    >>> features["samples"].shape == (5, 1, 64)
    True
    """

    def call(self, samples):
        dim = math.prod(samples.shape[1:])
        return {"samples": ops.reshape(samples, (-1, 1, dim))}

    def map_sizes(self, sample_shape):
        """`"samples"` is a map where samples are images, though one token."""
        if len(sample_shape) != 3:
            return {}
        return {"samples": tuple(sample_shape[:2])}
