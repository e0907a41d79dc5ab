"""Any Keras model as a generator."""

import keras
from keras import ops

from keras_drift import checks
from keras_drift.generators.generator import Generator
from keras_drift.generators.generator import condition_inputs
from keras_drift.own_arguments import own_arguments

_CONDITIONS = ("labels", "guidance", "styles")


@keras.saving.register_keras_serializable("keras_drift")
class Functional(Generator):
    """Generator from any Keras model from noise to samples.

    For a network of your own, such as a U-Net, without writing a subclass. The
    model is used as it is, weights included, and is trained in place.

    Args:
        model: functional or `Sequential` `keras.Model` that returns samples,
            `(batch, *sample_shape)`. A single input is the noise; several are
            told apart by their names, or by their keys in a dict: `"noise"`,
            `(batch, *noise_shape)`; `"labels"`, ints `(batch,)`; `"guidance"`,
            floats `(batch,)`, the guidance scale, where 1 is none; `"styles"`,
            int codes `(batch, num_style_tokens)`. Only `"noise"` is required.
        num_classes: int or `None`, the number of classes, for a model that
            takes `"labels"`. Defaults to `None`.
        style_codebook_size: int or `None`, how many values a style code has,
            for a model that takes `"styles"`. Defaults to `None`.
        **kwargs: `name` and `trainable`, as for `keras.Model`.

    Example:

    >>> from keras_drift import generators
    >>> noise = keras.Input((8, 8, 3), name="noise")
    >>> labels = keras.Input((), dtype="int32", name="labels")
    >>> scale = keras.layers.Embedding(10, 3)(labels)[:, None, None, :]
    >>> images = keras.layers.Conv2D(3, 3, padding="same")(noise * scale)
    >>> model = keras.Model([noise, labels], images)
    >>> generator = generators.Functional(model, num_classes=10)
    >>> inputs = generator.sample_inputs(2, labels=[3, 1], seed=0)
    >>> generator.predict(inputs, verbose=0).shape
    (2, 8, 8, 3)
    """

    def __init__(
        self, model, num_classes=None, style_codebook_size=None, **kwargs
    ):
        taken = _named_inputs(model)
        _check_inputs(taken, num_classes, style_codebook_size)
        num_styles = taken["styles"].shape[1] if "styles" in taken else 0
        inputs = condition_inputs(num_classes, num_styles)
        inputs["noise"] = keras.Input(taken["noise"].shape[1:], name="noise")
        inputs = {name: inputs[name] for name in taken}
        outputs = _call(model, taken, inputs)
        super().__init__(
            inputs, outputs, num_classes, style_codebook_size or 0, **kwargs
        )
        self.model = model

    def get_config(self):
        codebook = self.style_codebook_size or None
        return {
            "model": keras.saving.serialize_keras_object(self.model),
            "num_classes": self.num_classes,
            "style_codebook_size": codebook,
            **own_arguments(self),
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Makes the generator that `get_config` describes."""
        model = keras.saving.deserialize_keras_object(
            config["model"], custom_objects
        )
        return cls(**{**config, "model": model})


def _named_inputs(model):
    """The symbolic inputs of the model by our names."""
    if not isinstance(model, keras.Model):
        raise TypeError(
            "`model` is a `keras.Model` from noise to samples. "
            f"Received: model={model!r}"
        )
    tensors = getattr(model, "inputs", None)
    if not tensors or not getattr(model, "outputs", None):
        raise ValueError(
            "The inputs of `model` must be known: build it as a functional "
            "model, `keras.Model(inputs, outputs)`, or begin a `Sequential` "
            f"with `keras.Input`. Received: model={model!r}"
        )
    if _takes_dict(model):
        return dict(model.input)
    if len(tensors) == 1:
        return {"noise": tensors[0]}
    return {tensor.name: tensor for tensor in tensors}


def _takes_dict(model):
    # A `Sequential` has `inputs`, but no `input`.
    return isinstance(getattr(model, "input", None), dict)


def _check_inputs(taken, num_classes, style_codebook_size):
    """Validates names, shapes and types of the inputs of a model."""
    unknown = sorted(set(taken) - {"noise", *_CONDITIONS})
    if unknown or "noise" not in taken:
        raise ValueError(
            "The inputs of `model` are named 'noise' and, where it takes them, "
            "'labels', 'guidance' and 'styles'; a single input is the noise. "
            f"Received: inputs named {sorted(taken)}"
        )
    for name, tensor in taken.items():
        _check_shape(name, tuple(tensor.shape))
    if not keras.backend.is_float_dtype(taken["noise"].dtype):
        raise ValueError(
            "The noise is Gaussian, so the input for it holds floats. "
            f"Received: an input of dtype {taken['noise'].dtype!r}"
        )
    _check_pair("labels", taken, "num_classes", num_classes)
    _check_pair("styles", taken, "style_codebook_size", style_codebook_size)
    if "guidance" in taken and "labels" not in taken:
        raise ValueError(
            "Guidance strengthens the class of a sample, so a `model` that "
            "takes 'guidance' takes 'labels' as well. "
            f"Received: inputs named {sorted(taken)}"
        )


def _check_shape(name, shape):
    ranks = {"labels": 1, "guidance": 1, "styles": 2}
    known = shape[0] is None and None not in shape[1:]
    if not known or len(shape) != ranks.get(name, len(shape)):
        expected = {
            "noise": "`(None, *noise_shape)`, as `keras.Input((32, 32, 3))`",
            "styles": "`(None, num_style_tokens)`, as `keras.Input((32,))`",
        }.get(name, "`(None,)`, as `keras.Input(())`")
        raise ValueError(
            f"The input '{name}' is {expected}: batches of any size, all else "
            f"known. Received: an input '{name}' of shape {shape}"
        )


def _check_pair(name, taken, argument, value):
    """An input and the argument that it needs come together."""
    if value is not None:
        checks.positive_integer(argument, value)
    if (name in taken) != (value is not None):
        raise ValueError(
            f"`{argument}` is given if, and only if, `model` has an input "
            f"named '{name}'. Received: {argument}={value!r}, and inputs named "
            f"{sorted(taken)}"
        )


def _call(model, taken, inputs):
    """The samples of the model, symbolically, in float32."""
    given = {
        name: tensor
        if tensor.dtype == taken[name].dtype
        else ops.cast(tensor, taken[name].dtype)
        for name, tensor in inputs.items()
    }
    if _takes_dict(model):
        outputs = model(given)
    elif len(given) == 1:
        outputs = model(given["noise"])
    else:
        outputs = model([given[name] for name in taken])
    if not isinstance(outputs, keras.KerasTensor) or None in outputs.shape[1:]:
        raise ValueError(
            "`model` returns samples: one tensor `(batch, *sample_shape)` with "
            f"a known sample shape. Received: a model that returns {outputs!r}"
        )
    if outputs.dtype != "float32":
        outputs = ops.cast(outputs, "float32")
    return outputs
