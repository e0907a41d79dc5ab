"""Loading from and saving to presets."""

import keras

from keras_drift.presets import files
from keras_drift.presets import handles
from keras_drift.presets import registry


class _Presets:
    """The built-in presets of the class it is read from."""

    def __get__(self, instance, owner):
        return registry.presets_of(owner)


class PresetMixin:
    """Mixin of Keras objects that are saved as presets: folders of plain data.

    A preset holds the config of an object, its weights, and metadata: what it
    is, what it was trained on, and what was measured. It loads on every
    backend.

    Attributes:
        presets: dict from the names of the built-in presets of this class to
            their metadata. Read when it is asked for.
    """

    presets = _Presets()

    @classmethod
    def from_preset(cls, preset, load_weights=True):
        """Loads an object from a preset.

        Args:
            preset: the name of a built-in preset, or the path of a folder that
                `save_to_preset` wrote. A preset of a model that has an object
                of this class as a part gives that part.
            load_weights: bool, whether to load the weights too. Without them
                the object starts as a new one of the same config. Defaults to
                `True`.

        Returns:
            An instance of this class.
        """
        folder = handles.resolve(preset)
        config = files.read_config(folder)
        try:
            loaded = keras.saving.deserialize_keras_object(config)
        except Exception as error:
            raise files.damaged_config(folder, error) from error
        for part in (loaded, *getattr(loaded, "preset_parts", ())):
            if isinstance(part, cls):
                break
        else:
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
            directory: path of the folder. An older preset is replaced, once the
                new one is complete.
            metadata: optional dict of what others should know: `"description"`,
                `"training_data"`, `"metrics"`, `"license"`.
        """
        config = keras.saving.serialize_keras_object(self)
        config.pop("compile_config", None)
        metadata = {"num_parameters": self.count_params(), **(metadata or {})}
        files.write(directory, config, _weights_of(self), metadata)


def _weights_of(layer):
    """A `keras.Model` with the weights of a layer, or the model itself."""
    return layer if isinstance(layer, keras.Model) else files.Weights(layer)
