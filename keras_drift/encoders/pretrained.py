"""A pretrained Keras model as an encoder."""

import keras
from keras import ops

from keras_drift import checks
from keras_drift.encoders import image_scaling
from keras_drift.encoders.encoder import Encoder
from keras_drift.encoders.encoder import square_sides
from keras_drift.frozen import freeze


@keras.saving.register_keras_serializable("keras_drift")
class Pretrained(Encoder):
    """Compares samples by the outputs of a pretrained Keras model, frozen.

    The model may be one of `keras.applications`, a backbone of KerasHub or
    keras-cv, or any Keras model of your own. It computes in its own precision,
    and gets samples of the size it was built for: nothing is resized, unless
    `preprocessing` contains a `keras.layers.Resizing`.

    Args:
        model: `keras.Model` or layer from samples to features: one tensor, a
            list, or a dict of them. `(batch, dim)` is one token; in
            `(batch, ..., dim)` every position is one. The model itself is
            frozen, wherever else it is used. If it has not been built, it is
            built for the shape of the samples. A functional model whose input
            is a dict of one tensor gets such a dict.
        outputs: list of str, the names of layers of a functional model, or of
            the `pyramid_outputs` of a KerasHub backbone, whose outputs are
            the features; for a layer that is called several times, the output
            of the first call. Layers that none of them needs are not computed.
            Defaults to `None`: the outputs of the model.
        preprocessing: Keras layer that converts samples to what the model
            expects; for images in `[-1, 1]` also `"[0, 1]"`, `"[0, 255]"`,
            `"imagenet"` (normalized, as for KerasHub's backbones) or `"caffe"`
            (as for VGG and ResNet in `keras.applications`). Defaults to
            `None`: the samples as they are.
        num_prefix_tokens: int, tokens of each output `(batch, tokens, dim)`
            ahead of those of the image, such as class and register tokens.
            They become a feature of their own, `"NAME_prefix"`, so that the
            others can be pooled as a map. Defaults to `0`.
        **kwargs: passed to `Encoder`.

    Call arguments:
        samples: float tensor `(batch, *sample_shape)`.

    Returns:
        A dict from feature names to tensors `(batch, tokens, dim)`. Outputs
        without names are `"feature_0"`, `"feature_1"`, ...

    Raises:
        TypeError: if the model is not a Keras layer or has nested outputs.
        ValueError: if the samples have another shape than the model takes, or
            if `outputs` names a layer that it does not have.

    Example:

    >>> from keras_drift import encoders
    >>> backbone = keras.Sequential([keras.Input((8, 8, 3))])
    >>> backbone.add(keras.layers.Conv2D(4, 3, strides=2, name="maps"))
    >>> backbone.add(keras.layers.GlobalAveragePooling2D(name="vector"))
    >>> encoder = encoders.Pretrained(
    ...     backbone, outputs=["maps", "vector"], preprocessing="imagenet"
    ... )
    >>> features = encoder(np.zeros((5, 8, 8, 3)))
    >>> features["maps"].shape == (5, 9, 4)
    True
    >>> features["vector"].shape == (5, 1, 4)
    True
    """

    def __init__(
        self,
        model,
        outputs=None,
        preprocessing=None,
        num_prefix_tokens=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not isinstance(model, keras.layers.Layer):
            raise TypeError(
                "An encoder is an `Encoder`, or a Keras model from samples to "
                "features; `None` compares the samples themselves. "
                f"Received: {model!r}"
            )
        _refuse_channels_first(model)
        self.model = model
        freeze(self.model)
        self.outputs = None if outputs is None else _names(outputs)
        self.preprocessing = image_scaling.get(preprocessing)
        if self.preprocessing is not None:
            freeze(self.preprocessing)
        self.num_prefix_tokens = checks.non_negative_integer(
            "num_prefix_tokens", num_prefix_tokens
        )
        # A function, whose model Keras does not track: the layers are those of
        # `self.model`.
        self._compute = _function(model, self.outputs)

    def build(self, input_shape):
        samples = keras.KerasTensor(input_shape, self.compute_dtype)
        inputs = self._preprocessed(samples)
        _check_input_shape(self.model, inputs.shape, self.preprocessing)
        if not self.model.built:
            try:
                self._compute(inputs)
            except Exception as error:
                raise ValueError(
                    "The model of this encoder has not been built, and cannot "
                    f"be built for samples of shape {tuple(input_shape[1:])}. "
                    "If it can take them, call it on some before wrapping it. "
                    f"Received: model={self.model!r} ({error})"
                ) from error
            # Layers do not freeze variables that are made later.
            freeze(self.model)
        self.built = True

    def call(self, samples):
        features = {}
        for name, value in self._outputs_of(samples).items():
            feature = ops.cast(_positions_as_tokens(value), self.compute_dtype)
            count = self.num_prefix_tokens
            if count and len(value.shape) == 3:
                features[f"{name}_prefix"] = feature[:, :count]
                feature = feature[:, count:]
            features[name] = feature
        return features

    def map_sizes(self, sample_shape):
        samples = keras.KerasTensor((None, *sample_shape), self.compute_dtype)
        if not self.built:
            self.build(samples.shape)
        sizes = {}
        for name, value in self._outputs_of(samples).items():
            if len(value.shape) == 4:
                sizes[name] = tuple(value.shape[1:3])
            elif len(value.shape) == 3:
                sizes[name] = square_sides(
                    value.shape[1] - self.num_prefix_tokens
                )
        return {name: size for name, size in sizes.items() if size}

    def _preprocessed(self, samples):
        if self.preprocessing is None:
            return samples
        return self.preprocessing(samples, training=False)

    def _outputs_of(self, samples):
        """The outputs of the model by their names."""
        outputs = self._compute(self._preprocessed(samples))
        if isinstance(outputs, dict):
            return outputs
        several = isinstance(outputs, (list, tuple))
        outputs = enumerate(outputs if several else [outputs])
        return {f"feature_{i}": output for i, output in outputs}

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "model": serialize(self.model),
            "outputs": self.outputs,
            "preprocessing": serialize(self.preprocessing),
            "num_prefix_tokens": self.num_prefix_tokens,
        }

    @classmethod
    def from_config(cls, config):
        """Makes the encoder that `get_config` describes."""
        deserialize = keras.saving.deserialize_keras_object
        objects = {
            name: deserialize(config.get(name))
            for name in ("model", "preprocessing")
        }
        return cls(**{**config, **objects})


def _function(model, outputs):
    """The function from a tensor to the outputs of a model."""
    inputs = _inputs(model)
    if outputs is not None:
        if inputs is None:
            raise ValueError(
                "`outputs` names layers of a functional or built sequential "
                f"model. Received: outputs={outputs}, model={model!r}"
            )
        model = keras.Model(
            inputs, {name: _output_of(model, name) for name in outputs}
        )
        freeze(model)

    def compute(samples):
        if isinstance(inputs, (dict, list, tuple)):
            samples = keras.tree.pack_sequence_as(inputs, [samples])
        return model(samples, training=False)

    return compute


def _inputs(model):
    """The inputs of a functional model, one tensor in whatever structure."""
    tensors = getattr(model, "inputs", None)
    if not tensors:
        return None
    if len(tensors) > 1:
        names = [tensor.name for tensor in tensors]
        raise ValueError(
            "The model of an encoder has one input, the samples. Make a model "
            "of that input with constants for the others. "
            f"Received: model={model!r} with the inputs {names}"
        )
    if isinstance(model, keras.Sequential):
        return tensors[0]
    return model.input


def _output_of(model, name):
    """The output of a layer, or of a level of a feature pyramid."""
    layers = {layer.name: layer for layer in model.layers}
    levels = getattr(model, "pyramid_outputs", {})
    # A copy of a KerasHub backbone puts its own name ahead of its layers'.
    for key in (name, f"{model.name}_{name}"):
        if key in layers:
            output = layers[key].output
            break
        if key in levels:
            output = levels[key]
            break
    else:
        known = [*layers, *levels]
        raise ValueError(
            f"The model has no layer {name!r}."
            f"{checks.did_you_mean(name, known)} Its layers are "
            f"{', '.join(map(repr, known[-20:]))}"
            f"{', and more ahead of them' if len(known) > 20 else ''}. "
            f"Received: outputs=[..., {name!r}, ...]"
        )
    if isinstance(output, (dict, list, tuple)):
        raise ValueError(
            f"The layer {name!r} has several outputs; a feature is one tensor. "
            f"Received: outputs=[..., {name!r}, ...]"
        )
    return output


def _refuse_channels_first(model):
    """Refuses layers whose channels would be taken for rows of an image."""
    for layer in model._flatten_layers():
        if getattr(layer, "data_format", None) == "channels_first":
            raise ValueError(
                "Samples and maps have their channels last. Make the model "
                'with data_format="channels_last", which '
                '`keras.config.set_image_data_format("channels_last")` makes '
                "the default. Received: a layer "
                f"{layer.name!r} with data_format='channels_first'"
            )


def _names(outputs):
    is_names = isinstance(outputs, (list, tuple)) and outputs
    if not is_names or not all(isinstance(name, str) for name in outputs):
        raise TypeError(
            "`outputs` is a list of names of layers, at least one. "
            f"Received: outputs={outputs!r}"
        )
    return list(outputs)


def _check_input_shape(model, shape, preprocessing):
    """Refuses samples of another shape than that of the model's input."""
    tensors = getattr(model, "inputs", None)
    if not tensors or checks.fits(tuple(shape), tuple(tensors[0].shape)):
        return
    expected = tuple(tensors[0].shape[1:])
    after = "" if preprocessing is None else " after preprocessing"
    raise ValueError(
        f"The model of this encoder takes inputs of shape {expected}. Make it "
        "for the shape of the samples, or resize images in `preprocessing`: "
        "`keras.Sequential([keras.layers.Resizing(height, width), ...])`. "
        f"Received: samples of shape {tuple(shape[1:])}{after}"
    )


def _positions_as_tokens(feature):
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
