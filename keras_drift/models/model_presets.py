"""Presets of models, in which the encoder may be a reference."""

import keras

from keras_drift import encoders
from keras_drift.presets import files
from keras_drift.presets import handles

_REFERENCE = "preset"


def save(model, directory, metadata, encoder):
    """Writes a preset: see `DriftModel.save_to_preset`."""
    bare = _without_optimizer(model, keep_encoder=encoder is None)
    config = keras.saving.serialize_keras_object(bare)
    config.pop("compile_config", None)
    if encoder is not None:
        encoders.Encoder.from_preset(encoder, load_weights=False)  # it exists
        config["config"]["encoder"] = {_REFERENCE: str(encoder)}
    metadata = {
        "num_parameters": model.generator.count_params(),
        **(metadata or {}),
    }
    files.write(directory, config, bare, metadata)


def encoder_reference(handle):
    """Returns the handle of a referenced encoder, or `None`."""
    config = files.read_config(handles.resolve(handle))
    encoder = config.get("config", {}).get("encoder")
    return encoder.get(_REFERENCE) if isinstance(encoder, dict) else None


def resolved(config):
    """Removes a reference to an encoder from a config, for `from_config`."""
    encoder = config["encoder"]
    if isinstance(encoder, dict) and _REFERENCE in encoder:
        return {**config, "encoder": None}
    return config


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


def with_encoder(model, handle, load_encoder):
    """Loads the encoder that the preset of a model refers to."""
    reference = encoder_reference(handle)
    if reference is None:
        return model
    if load_encoder:
        model.encoder = encoders.Encoder.from_preset(reference)
    else:
        model.run.missing_encoder = reference
    return model
