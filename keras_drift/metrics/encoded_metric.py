"""The base class of metrics of features."""

import keras
from keras import ops


class EncodedMetric(keras.metrics.Metric):
    """Base class of metrics that compare samples in a feature space.

    Args:
        name: str, the name in the logs.
        encoder: callable from samples `(n, ...)` to features `(n, ...)`, such
            as a Keras model; `None` takes the samples themselves. It must not
            share weights with the model that is trained, whose weights the
            compiled step holds elsewhere. Saving keeps its config, not its
            weights. Defaults to `None`.

    Raises:
        TypeError: if the encoder cannot be called, or returns no tensor.
    """

    def __init__(self, name, encoder=None):
        super().__init__(name=name, dtype="float32")
        self._direction = "down"  # for `EarlyStopping` and its like
        self.encoder = checked_encoder(encoder)

    def add_variable(
        self,
        shape,
        initializer,
        dtype="float32",
        aggregation="only_first_replica",
        name=None,
    ):
        # `DriftModel` gives all replicas the whole batch, so that they hold one
        # state, rather than parts of a sum.
        return super().add_variable(
            shape, initializer, dtype, aggregation, name
        )

    def features(self, points):
        """Encodes samples, see `encode`."""
        return encode(self.encoder, points)

    def get_config(self):
        """The arguments it was made with, without the encoder's weights."""
        encoder = keras.saving.serialize_keras_object(self.encoder)
        return {"name": self.name, "encoder": encoder}

    @classmethod
    def from_config(cls, config):
        """Makes the metric again, from what `get_config` returned."""
        config = dict(config)
        encoder = keras.saving.deserialize_keras_object(
            config.pop("encoder", None)
        )
        if encoder is not None:  # which subclasses need not take
            config["encoder"] = encoder
        return cls(**config)


def checked_encoder(encoder):
    """Validates an encoder: a callable, or `None`."""
    if encoder is not None and not callable(encoder):
        raise TypeError(
            "`encoder` must be a callable from samples to features, such "
            f"as a Keras model, or `None`. Received: encoder={encoder!r}"
        )
    return encoder


def encode(encoder, points):
    """Features of samples, as constants; without an encoder, the samples."""
    if encoder is None:
        return points
    _check_weights_are_there(encoder)
    features = _only_tensor(encoder(points))
    return ops.stop_gradient(ops.cast(features, "float32"))


def _only_tensor(features):
    if isinstance(features, (dict, list, tuple)):
        raise TypeError(
            "`encoder` must return one tensor of features. Pick one of them: "
            "`encoder=lambda x: encoder(x)[...]`. Received: a "
            f"{type(features).__name__} of {len(features)} from the encoder"
        )
    return features


def _check_weights_are_there(encoder):
    """Refuses an encoder whose weights a running `fit` has taken away."""
    try:
        for variable in getattr(encoder, "variables", ()):
            _ = variable.value
    except TypeError:
        raise ValueError(
            "`encoder` has weights of the model that is being trained, which "
            "the compiled step holds elsewhere. Give the metric an encoder of "
            "its own, for instance a second one loaded from the same file. "
            f"Received: encoder={encoder!r}"
        ) from None
