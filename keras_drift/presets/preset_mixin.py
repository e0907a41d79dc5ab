"""Mixin for objects that are loaded from and saved to presets."""

import contextlib
import contextvars
import importlib

import keras

from keras_drift import checks
from keras_drift.presets import files
from keras_drift.presets import handles
from keras_drift.presets import registry

# The presets that are being loaded, each because the one before refers to it.
_LOADING = contextvars.ContextVar("keras_drift_presets", default=())
DEFAULT_SHARD_SIZE = 10


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

    # The module in `keras_drift.converters` that loads weights published in the
    # format of another library, or `None`.
    published_format = None

    @classmethod
    def from_preset(cls, preset, load_weights=True, **kwargs):
        """Loads an object from a preset.

        Args:
            preset: the name of a preset, one of `presets`; the path of a folder
                that `save_to_preset` wrote; or such a folder on a hub:
                `"hf://owner/name"`, `"kaggle://owner/model/keras/variation"`
                or `"gs://bucket/folder"`. What is fetched is cached. It may be
                the preset of a model that contains an object of this class.
                Encoders and autoencoders also load weights that other libraries
                published, see `ConvNeXtV2.from_preset` and
                `Autoencoder.from_preset`.
            load_weights: bool, whether to load the weights too, rather than
                initialize them anew. Defaults to `True`.
            **kwargs: arguments of the constructor that replace those of the
                preset, such as `num_classes=10`, `remat=True`. The weights of
                the preset fit only if the sizes stay the same. Generators of
                presets compute in the global dtype policy, unless `dtype` says
                otherwise.

        Returns:
            An instance of this class, or of a subclass.

        Raises:
            ConnectionError: if a file is not cached, and the hub not reached.
            ValueError: if there is no such preset, or if it is damaged, of
                another class, of a later version of this library, or not safe
                to load. Presets are data: none of their code is run.
        """
        checks.boolean("load_weights", load_weights)
        if cls.published_format is not None:
            # The converter knows the classes, and so is above this folder.
            converter = importlib.import_module(cls.published_format)
            made = converter.load(cls, preset, load_weights, **kwargs)
            if made is not None:
                return made
        with _referring(preset):
            return _load(cls, preset, load_weights, kwargs)

    def preset_config(self):
        """The config that a preset of this object holds, a dict."""
        config = keras.saving.serialize_keras_object(self)
        config.pop("compile_config", None)
        return config

    def save_to_preset(
        self, directory, metadata=None, max_shard_size=DEFAULT_SHARD_SIZE
    ):
        """Writes a preset: a folder that any backend can load.

        Args:
            directory: path of the folder. An existing preset is replaced once
                the new one is complete.
            metadata: optional dict, for example with `"description"`,
                `"training_data"`, `"metrics"` and `"license"`.
            max_shard_size: float > 0, in GB. Larger weights are written to
                several files. Defaults to `10`.
        """
        handles.check_new(directory)
        checks.positive_number("max_shard_size", max_shard_size)
        config = self.preset_config()
        found = {"num_parameters": self.count_params()}
        metadata = with_metadata(found, metadata)
        weights = _weights_of(self)
        files.write(directory, config, weights, metadata, max_shard_size)


def with_metadata(found, metadata):
    """What is known of a preset, and the `metadata` of `save_to_preset`."""
    if metadata is not None and not isinstance(metadata, dict):
        raise TypeError(
            "`metadata` is a dict, such as `{'description': 'Digits.'}`. "
            f"Received: metadata={metadata!r}"
        )
    return {**found, **(metadata or {})}


@contextlib.contextmanager
def _referring(preset):
    """Refuses presets that refer to each other in a circle."""
    chain = (*_LOADING.get(), str(preset))
    if str(preset) in chain[:-1]:
        raise ValueError(
            "This preset refers to itself where it should hold a part, or name "
            f"the preset of one. Received: {' -> '.join(chain)}"
        )
    token = _LOADING.set(chain)
    try:
        yield
    finally:
        _LOADING.reset(token)


def _load(cls, preset, load_weights, arguments):
    """Loads an object of a class from a preset of this library."""
    folder = handles.resolve(preset, load_weights)
    may_refer = handles.is_public if handles.is_fetched(preset) else None
    config = files.read_config(folder, load_weights, may_refer)
    if arguments:
        config = _replaced(cls, config, arguments)
    try:
        loaded = keras.saving.deserialize_keras_object(config)
    except Exception as error:
        if arguments:
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
        raise _holds_another(type(loaded), cls, preset)
    if load_weights:
        files.load_weights(_weights_of(loaded), folder)
    return part


def class_for(cls, held, preset):
    """The class to make of published weights: `held`, or a subclass of it.

    Args:
        cls: the class whose `from_preset` was called.
        held: the class that the weights are for.
        preset: for the message.
    """
    if issubclass(cls, held):
        return cls
    if issubclass(held, cls):
        return held
    raise _holds_another(held, cls, preset)


def _holds_another(held, cls, preset):
    return ValueError(
        f"This preset holds a `{held.__name__}`, not a `{cls.__name__}`. "
        f"Received: preset={str(preset)!r}"
    )


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
    unknown = sorted(set(arguments) - {*known, "dtype"})
    if unknown:
        raise ValueError(
            f"A preset of a `{held}` holds these arguments, which others can "
            f"replace: {', '.join(sorted(known))}. "
            f"Received: {', '.join(unknown)}"
        )
    return {**config, "config": {**known, **arguments}}
