"""A pretrained Keras model as an encoder."""

import keras
from keras import ops

from keras_drift.encoders.encoder import Encoder


@keras.saving.register_keras_serializable("keras_drift")
class Pretrained(Encoder):
    """Compares samples by the outputs of a pretrained Keras model, frozen.

    Args:
        model: `keras.Model` or layer from samples to features: one tensor, a
            list, or a dict of them. `(batch, dim)` is one token; in
            `(batch, ..., dim)` every position is one. To compare at several
            depths, pass a functional model with several outputs. The model
            itself is frozen, wherever else it is used. If it has not been
            built, it is built for the shape of the samples.
        **kwargs: passed to `Encoder`.

    Call arguments:
        samples: float tensor `(batch, *sample_shape)`.

    Returns:
        A dict from feature names to tensors `(batch, tokens, dim)`. Outputs
        without names are `"feature_0"`, `"feature_1"`, ...

    Example:

    >>> from keras_drift import encoders
    >>> backbone = keras.Sequential([keras.Input((8, 8, 1))])
    >>> backbone.add(keras.layers.Conv2D(4, 3, strides=2))
    >>> features = encoders.Pretrained(backbone)(np.zeros((5, 8, 8, 1)))
    >>> features["feature_0"].shape == (5, 9, 4)
    True
    """

    def __init__(self, model, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(model, keras.layers.Layer):
            raise TypeError(
                "An encoder is an `Encoder`, or a Keras model from samples to "
                "features; `None` compares the samples themselves. "
                f"Received: {model!r}"
            )
        self.model = model
        self.model.trainable = False

    def build(self, input_shape):
        if not self.model.built:
            samples = keras.KerasTensor(input_shape, self.compute_dtype)
            try:
                self.model(samples, training=False)
            except Exception as error:
                raise ValueError(
                    "The model of this encoder has not been built, and cannot "
                    f"be built for samples of shape {tuple(input_shape[1:])}. "
                    "If it can take them, call it on some before wrapping it. "
                    f"Received: model={self.model!r} ({error})"
                ) from error
            # Layers do not freeze variables that are made later.
            self.model.trainable = False
        self.built = True

    def call(self, samples):
        outputs = self.model(samples, training=False)
        if not isinstance(outputs, dict):
            several = isinstance(outputs, (list, tuple))
            outputs = enumerate(outputs if several else [outputs])
            outputs = {f"feature_{i}": output for i, output in outputs}
        return {name: _tokens(value) for name, value in outputs.items()}

    def get_config(self):
        model = keras.saving.serialize_keras_object(self.model)
        return {**super().get_config(), "model": model}

    @classmethod
    def from_config(cls, config):
        """Makes the encoder that `get_config` describes."""
        model = keras.saving.deserialize_keras_object(config["model"])
        return cls(**{**config, "model": model})


def _tokens(feature):
    """`(batch, ..., dim)` to `(batch, tokens, dim)`."""
    if not hasattr(feature, "shape"):
        raise TypeError(
            "The model of an encoder returns one tensor, or a flat list or "
            f"dict of tensors. Received: a {type(feature).__name__} among them"
        )
    if len(feature.shape) < 2:
        raise ValueError(
            "A feature is a tensor `(batch, ..., dim)`; the model of this "
            f"encoder returned one of shape {tuple(feature.shape)}"
        )
    tokens = 1
    for size in feature.shape[1:-1]:
        tokens *= size
    return ops.reshape(feature, (-1, tokens, feature.shape[-1]))
