"""The features of several encoders together."""

import math

import keras
from keras import ops

from keras_drift import checks
from keras_drift import encoders
from keras_drift.encoders.encoder import Encoder

_ADVICE = (
    "Give one encoder all outputs, `Pretrained(model, outputs=[...])`, or give "
    "each a model of its own: `copy = keras.models.clone_model(model)`, and "
    "`copy.set_weights(model.get_weights())` for the same weights."
)


@keras.saving.register_keras_serializable("keras_drift")
class Union(Encoder):
    """Joins the features of several encoders with the samples themselves.

    A drift in one feature space moves samples only as far as this space tells
    them apart. The published pixel models compare the features of a masked
    autoencoder and of ConvNeXt V2, and the images.

    Args:
        encoders: list of `Encoder`s or Keras models, whose features keep their
            names; or a dict of them, whose keys go ahead of the names:
            `{"mae": ...}` makes `"mae_layer1"` of `"layer1"`.
        include_samples: bool, whether the samples, flattened, are a feature
            too, `"global"`. Defaults to `True`.
        **kwargs: passed to `Encoder`.

    Call arguments:
        samples: float tensor `(batch, *sample_shape)`, given to all encoders.

    Returns:
        A dict from feature names to tensors `(batch, tokens, dim)`.

    Raises:
        ValueError: if two encoders have a feature of the same name, or share
            a network.

    Example:

    >>> from keras_drift import encoders
    >>> local, coarse = (
    ...     keras.Sequential(
    ...         [keras.Input((8, 8, 1)), keras.layers.AveragePooling2D(size)]
    ...     )
    ...     for size in (2, 4)
    ... )
    >>> encoder = encoders.Union({"local": local, "coarse": coarse})
    >>> features = encoder(np.zeros((5, 8, 8, 1)))
    >>> {name: tuple(value.shape) for name, value in features.items()}
    {'global': (5, 1, 64),
     'local_feature_0': (5, 16, 1),
     'coarse_feature_0': (5, 4, 1)}

    Reference:

    - [Deng et al., 2026](https://arxiv.org/abs/2602.04770)
    """

    def __init__(self, encoders, include_samples=True, **kwargs):
        super().__init__(**kwargs)
        self.prefixes, self.encoders = _prefixes_and_encoders(encoders)
        self.include_samples = checks.boolean(
            "include_samples", include_samples
        )

    def require(self):
        for encoder in self.encoders:
            encoder.require()

    def missing(self):
        return tuple(m for part in self.encoders for m in part.missing())

    def loaded(self):
        if not self.missing():
            return self
        parts = [part.loaded() for part in self.encoders]
        if any(self.prefixes):
            parts = dict(zip(self._keys(), parts, strict=True))
        config = {**super().get_config(), "name": self.name}
        return type(self)(parts, self.include_samples, **config)

    def _keys(self):
        return [prefix.removesuffix("_") for prefix in self.prefixes]

    def build(self, input_shape):
        for encoder in self.encoders:
            encoder.build(input_shape)
        checks.distinct_variables("encoders", self.encoders, _ADVICE)
        self.built = True

    def call(self, samples):
        features = {}
        if self.include_samples:
            dim = math.prod(samples.shape[1:])
            features["global"] = ops.reshape(samples, (-1, 1, dim))
        for prefix, encoder in zip(self.prefixes, self.encoders, strict=True):
            for name, feature in encoder(samples).items():
                name = prefix + name
                if name in features:
                    raise ValueError(
                        f"Two features are called {name!r}. Give the encoders "
                        "keys of their own, which go ahead of the names: "
                        "`Union({'first': ..., 'second': ...})`. "
                        f"Received: encoders={self.encoders}"
                    )
                features[name] = feature
        return features

    def map_sizes(self, sample_shape):
        return {
            prefix + name: size
            for prefix, encoder in zip(
                self.prefixes, self.encoders, strict=True
            )
            for name, size in encoder.map_sizes(sample_shape).items()
        }

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        parts = [serialize(encoder) for encoder in self.encoders]
        if any(self.prefixes):
            parts = dict(zip(self._keys(), parts, strict=True))
        return {
            **super().get_config(),
            "encoders": parts,
            "include_samples": self.include_samples,
        }

    @classmethod
    def from_config(cls, config):
        """Makes the encoder that `get_config` describes."""
        deserialize = keras.saving.deserialize_keras_object
        parts = config["encoders"]
        if isinstance(parts, dict):
            parts = {key: deserialize(part) for key, part in parts.items()}
        else:
            parts = [deserialize(part) for part in parts]
        return cls(**{**config, "encoders": parts})


def _prefixes_and_encoders(parts):
    if not isinstance(parts, (dict, list, tuple)) or not parts:
        raise TypeError(
            "`encoders` is a list of encoders, or a dict from names to them, "
            f"at least one. Received: encoders={parts!r}"
        )
    prefixes = [""] * len(parts)
    if isinstance(parts, dict):
        for key in parts:
            if not isinstance(key, str) or not key:
                raise TypeError(
                    "The keys of `encoders` go ahead of the names of features, "
                    f"and are strings. Received: encoders={parts!r}"
                )
        prefixes = [f"{key}_" for key in parts]
        parts = parts.values()
    parts = [encoders.get(part) for part in parts]
    checks.distinct_variables("encoders", parts, _ADVICE)
    return prefixes, parts
