"""Presets of models, in which the encoder may be a reference."""

import keras

from keras_drift import encoders
from keras_drift.presets import PresetMixin
from keras_drift.presets import files
from keras_drift.presets import handles

# The key of a config that refers to another preset.
_REFERENCE = "preset"


class ModelPresets(PresetMixin):
    """Mixin of `DriftModel`: presets, with or without the encoder."""

    @property
    def preset_parts(self):
        """The parts that `from_preset` of their classes finds in a preset."""
        return self.generator, self.encoder

    def save_to_preset(self, directory, metadata=None, encoder=None):
        """Writes the model as a preset: a folder that any backend can load.

        Args:
            directory: path of the folder. An existing preset is replaced once
                the new one is complete.
            metadata: optional dict, for example with `"description"`,
                `"training_data"`, `"metrics"` and `"license"`.
            encoder: the preset of the encoder, to store a reference to it
                instead of its weights, which only training needs. Defaults to
                `None`: the encoder is a part of the preset.
        """
        bare = _without_optimizer(self, keep_encoder=encoder is None)
        config = keras.saving.serialize_keras_object(bare)
        config.pop("compile_config", None)
        if encoder is not None:
            handles.resolve(encoder)  # it is there
            config["config"]["encoder"] = {_REFERENCE: str(encoder)}
        metadata = {
            "num_parameters": self.generator.count_params(),
            **(metadata or {}),
        }
        files.write(directory, config, bare, metadata)

    @classmethod
    def from_preset(cls, preset, load_weights=True, load_encoder=True):
        """Loads a trained model.

        Args:
            preset: the name of a built-in preset, one of `DriftModel.presets`,
                or the path of a folder that `save_to_preset` wrote.
            load_weights: bool, whether to load the weights. Defaults to `True`.
            load_encoder: bool, whether to load an encoder that the preset only
                refers to. Without it the model can `generate`, but not train.
                Defaults to `True`.

        Returns:
            A `DriftModel`, ready to `generate`; `compile` it to continue
            training.

        Example:

        >>> import keras_drift as kd
        >>> model = kd.DriftModel.from_preset("digits_dit")
        >>> model.generate(labels=[3, 1, 4], seed=0).shape
        (3, 8, 8, 1)
        """
        model = super().from_preset(preset, load_weights)
        reference = _encoder_reference(preset)
        if reference is not None and load_encoder:
            model.encoder = encoders.Encoder.from_preset(reference)
        elif reference is not None:
            model.run.missing_encoder = reference
        return model


def without_reference(config):
    """A config without a reference in place of the encoder."""
    encoder = config["encoder"]
    if isinstance(encoder, dict) and _REFERENCE in encoder:
        return {**config, "encoder": None}
    return config


def _encoder_reference(handle):
    """The handle of the encoder of a preset, if it is a reference."""
    config = files.read_config(handles.resolve(handle))
    encoder = config.get("config", {}).get("encoder")
    return encoder.get(_REFERENCE) if isinstance(encoder, dict) else None


def _without_optimizer(model, keep_encoder):
    """An uncompiled copy of a model: presets hold no optimizer state."""
    config = model.get_config()
    if not keep_encoder:
        config["encoder"] = None
    copy = type(model).from_config(config)
    parts = ["generator", "drift"] + ["encoder"] * keep_encoder
    for part in parts:
        getattr(copy, part).set_weights(getattr(model, part).get_weights())
    copy.seed_generator.state.assign(model.seed_generator.state)
    return copy
