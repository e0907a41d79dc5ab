"""Presets of models, in which frozen parts may be references."""

import keras

from keras_drift import autoencoders
from keras_drift import checks
from keras_drift import encoders
from keras_drift.presets import PresetMixin
from keras_drift.presets import files
from keras_drift.presets import handles
from keras_drift.presets.preset_mixin import DEFAULT_SHARD_SIZE
from keras_drift.presets.preset_mixin import with_metadata


class ModelPresets(PresetMixin):
    """Mixin of `DriftModel`: presets, with or without the frozen parts."""

    def save(self, filepath, overwrite=True, **kwargs):
        """Saves the model, with its optimizer, to a `.keras` file.

        Args:
            filepath: path that ends in `.keras`. The legacy format of Keras,
                `.h5`, is refused: Keras writes it, and cannot load it again.
            overwrite: bool, whether a file is replaced without asking. Defaults
                to `True`.
            **kwargs: passed to `keras.Model.save`.
        """
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(
                "A model is saved to a `.keras` file: Keras cannot load this "
                "one from its legacy format. Weights alone are written by "
                '`save_weights("model.weights.h5")`. '
                f"Received: filepath={str(filepath)!r}"
            )
        super().save(filepath, overwrite=overwrite, **kwargs)

    @property
    def preset_parts(self):
        """The parts that `from_preset` of their classes finds in a preset."""
        parts = [self.generator]
        if not self.encoder.missing():
            parts.append(self.encoder)
        if not isinstance(self.autoencoder, autoencoders.MissingAutoencoder):
            parts.append(self.autoencoder)
        return parts

    @property
    def preset_references(self):
        """Pairs of the class and the handle of parts that are elsewhere."""
        references = [
            (getattr(encoders, part.class_name), part.handle)
            for part in self.encoder.missing()
        ]
        if isinstance(self.autoencoder, autoencoders.MissingAutoencoder):
            handle = self.autoencoder.handle
            references.append((autoencoders.Autoencoder, handle))
        return references

    def preset_config(self):
        """The config that a preset of this model holds, a dict."""
        config = super().preset_config()
        config["config"]["generator"] = self.generator.preset_config()
        return config

    def save_to_preset(
        self,
        directory,
        metadata=None,
        encoder=None,
        autoencoder=None,
        max_shard_size=DEFAULT_SHARD_SIZE,
    ):
        """Writes the model as a preset: a folder that any backend can load.

        Args:
            directory: path of the folder. An existing preset is replaced once
                the new one is complete.
            metadata: optional dict, for example with `"description"`,
                `"training_data"`, `"metrics"` and `"license"`.
            encoder: the preset of the encoder, to store a reference to it
                instead of its weights, which only training needs. Defaults to
                `None`: the encoder is a part of the preset.
            autoencoder: the preset of the autoencoder, to store a reference to
                it instead of its weights, which several models may share.
                Defaults to `None`: the autoencoder is a part of the preset.
            max_shard_size: float > 0, in GB. Larger weights are written to
                several files. Defaults to `10`.
        """
        handles.check_new(directory)
        checks.positive_number("max_shard_size", max_shard_size)
        if encoder is not None:
            handles.check(encoder)
            encoder = encoders.MissingEncoder(encoder)
        bare = _without_optimizer(self, encoder)
        if autoencoder is not None:
            handles.check(autoencoder)
            bare.autoencoder = autoencoders.MissingAutoencoder(autoencoder)
        config = bare.preset_config()
        found = {"num_parameters": self.generator.count_params()}
        if not isinstance(self.autoencoder, autoencoders.MissingAutoencoder):
            found["image_shape"] = list(self.image_shape)
        metadata = with_metadata(found, metadata)
        files.write(directory, config, bare, metadata, max_shard_size)

    @classmethod
    def from_preset(
        cls,
        preset,
        load_weights=True,
        load_encoder=None,
        load_autoencoder=True,
    ):
        """Loads a trained model.

        Args:
            preset: the name of a preset, one of `DriftModel.presets`; the path
                of a folder that `save_to_preset` wrote; or such a folder on a
                hub: `"hf://owner/name"`,
                `"kaggle://owner/model/keras/variation"` or
                `"gs://bucket/folder"`. Models of the official release are
                fetched and converted on first use.
            load_weights: bool, whether to load the weights. Defaults to `True`.
            load_encoder: bool, whether to load an encoder that the preset only
                refers to. Without it the model can `generate`, but not train.
                Defaults to `None`: unless the encoder is fetched from a hub,
                since those of the release are several times as large as the
                models.
            load_autoencoder: bool, whether to load an autoencoder that the
                preset only refers to. Without it the model generates latents
                with `decode=False`. Defaults to `True`.

        Returns:
            A `DriftModel`, ready to `generate`; `compile` it to continue
            training.

        Example:

        >>> import keras_drift as kd
        >>> model = kd.DriftModel.from_preset("digits_dit")
        >>> model.generate(labels=[3, 1, 4], seed=0).shape
        (3, 8, 8, 1)
        """
        checks.boolean("load_autoencoder", load_autoencoder)
        if load_encoder is not None:
            checks.boolean("load_encoder", load_encoder)
        model = super().from_preset(preset, load_weights)
        missing = [part.handle for part in model.encoder.missing()]
        if load_encoder is None:
            load_encoder = not any(map(handles.is_remote, missing))
        if missing and load_encoder:
            model.encoder = model.encoder.loaded()
        missing = isinstance(model.autoencoder, autoencoders.MissingAutoencoder)
        if load_autoencoder and missing:
            handle = model.autoencoder.handle
            model.autoencoder = autoencoders.Autoencoder.from_preset(handle)
        return model


def _without_optimizer(model, encoder):
    """An uncompiled copy of a model: presets hold no optimizer state."""
    config = {**model.get_config(), "autoencoder": None}
    parts = ["generator", "drift"]
    if encoder is None:
        parts.append("encoder")
    else:
        config["encoder"] = keras.saving.serialize_keras_object(encoder)
    copy = type(model).from_config(config)
    for part in parts:
        getattr(copy, part).set_weights(getattr(model, part).get_weights())
    copy.autoencoder = model.autoencoder  # frozen: both may have it
    copy.seed_generator.state.assign(model.seed_generator.state)
    return copy
