"""Mixin for objects that are loaded from and saved to presets."""

import keras

from keras_drift import checks
from keras_drift.presets import files
from keras_drift.presets import handles
from keras_drift.presets import registry


class _Presets:
    """Class attribute: the presets of the class that have a name."""

    def __get__(self, instance, owner):
        return registry.presets_of(owner)


class PresetMixin:
    """Mixin for Keras objects with presets, folders of plain data.

    A preset holds the config of an object, its weights, and metadata: its
    description, training data and metrics. It loads on every backend.

    Attributes:
        presets: dict from the names of the presets of this class to their
            metadata, read on access. Nothing is fetched.
    """

    presets = _Presets()

    @classmethod
    def from_preset(cls, preset, load_weights=True, **kwargs):
        """Loads an object from a preset.

        Args:
            preset: the name of a preset, one of `presets`; the path of a folder
                that `save_to_preset` wrote; or `"hf://owner/name"`, such a
                folder on the Hugging Face hub. It may be the preset of a model
                that contains an object of this class.
            load_weights: bool, whether to load the weights too, rather than
                initialize them anew. Defaults to `True`.
            **kwargs: arguments of the constructor that replace those of the
                preset, such as `num_classes=10`, `remat=True`. The weights of
                the preset fit only if the sizes stay the same.

        Returns:
            An instance of this class.
        """
        checks.boolean("load_weights", load_weights)
        folder = handles.resolve(preset)
        config = files.read_config(folder, load_weights)
        if kwargs:
            config = _replaced(cls, config, kwargs)
        try:
            loaded = keras.saving.deserialize_keras_object(config)
        except Exception as error:
            if kwargs:
                raise
            raise files.damaged_config(folder, error) from error
        for part in (loaded, *getattr(loaded, "preset_parts", ())):
            if isinstance(part, cls):
                break
        else:
            references = getattr(loaded, "preset_references", ())
            for base, handle in references:
                if issubclass(cls, base):
                    return cls.from_preset(handle, load_weights)
                if issubclass(base, cls):
                    return base.from_preset(handle, load_weights)
            raise ValueError(
                f"This preset holds a `{type(loaded).__name__}`, not a "
                f"`{cls.__name__}`. Received: preset={str(preset)!r}"
            )
        if load_weights:
            files.load_weights(_weights_of(loaded), folder)
        return part

    def save_to_preset(self, directory, metadata=None):
        """Writes a preset: a folder that any backend can load.

        Args:
            directory: path of the folder. An existing preset is replaced once
                the new one is complete.
            metadata: optional dict, for example with `"description"`,
                `"training_data"`, `"metrics"` and `"license"`.
        """
        handles.check_new(directory)
        config = keras.saving.serialize_keras_object(self)
        config.pop("compile_config", None)
        metadata = {"num_parameters": self.count_params(), **(metadata or {})}
        files.write(directory, config, _weights_of(self), metadata)


def _weights_of(layer):
    """Wraps a layer in a `keras.Model`; a model is returned as it is."""
    return layer if isinstance(layer, keras.Model) else files.Weights(layer)


def _replaced(cls, config, arguments):
    """The config of an object of this class, with other arguments."""
    held = config.get("class_name")
    if held not in registry.names_of(cls):
        raise ValueError(
            "Arguments can be replaced in presets of the class itself. "
            f"Received: {', '.join(sorted(arguments))}, and the preset of a "
            f"`{held}`, not of a `{cls.__name__}`"
        )
    known = config["config"]
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        raise ValueError(
            f"A preset of a `{held}` holds these arguments, which others can "
            f"replace: {', '.join(sorted(known))}. "
            f"Received: {', '.join(unknown)}"
        )
    return {**config, "config": {**known, **arguments}}
