"""Reads and writes preset folders; writing is atomic."""

import json
import os
import pathlib
import shutil
import tempfile

import keras
import numpy as np

from keras_drift import atomic_files
from keras_drift import json_file
from keras_drift.presets import safety
from keras_drift.presets import weight_files
from keras_drift.presets.weight_files import INDEX
from keras_drift.presets.weight_files import WEIGHTS
from keras_drift.version import __version__

CONFIG = "config.json"
METADATA = "metadata.json"
# Of encoders whose config lists all layers of a large network.
_MAX_BYTES = 16_000_000


class Weights(keras.Model):
    """Wraps a layer, so that Keras saves its weights like those of a model.

    Args:
        layer: a built `keras.layers.Layer`.
    """

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.built = True


def write(directory, config, weights, metadata, max_shard_size):
    """Writes a preset folder.

    Args:
        directory: path of the folder; an existing preset is replaced. A
            symbolic link is followed.
        config: dict, the serialized object.
        weights: `keras.Model` whose weights are saved.
        metadata: dict of JSON values, or NumPy numbers and arrays.
        max_shard_size: float > 0, in GB. Larger weights are written to several
            files.
    """
    sharded = weight_files.needs_shards(weights, max_shard_size)
    target = pathlib.Path(directory).expanduser()
    if target.is_symlink():
        target = target.resolve()
    if target.exists() and not _is_preset_or_empty(target):
        raise ValueError(
            "A preset replaces its folder, but this path holds other files. "
            f"Choose another. Received: directory={str(directory)!r}"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    metadata = {
        **metadata,
        "keras_drift_version": __version__,
        "keras_version": keras.__version__,
    }
    metadata.pop("sharded", None)  # of the preset that it was copied from
    if sharded:
        metadata["sharded"] = True
    texts = {CONFIG: _as_json(config), METADATA: _as_json(metadata)}
    fresh = pathlib.Path(
        tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent)
    )
    try:
        for name, text in texts.items():
            (fresh / name).write_text(text, "utf-8")
        if sharded:
            weights.save_weights(fresh / INDEX, max_shard_size=max_shard_size)
        else:
            weights.save_weights(fresh / WEIGHTS)
        fresh.chmod(0o755)
        atomic_files.move_folder(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def is_complete(folder):
    """Whether no file of a preset is missing from a folder."""
    if not (folder / METADATA).is_file():
        return False
    try:
        names = file_names(folder)
    except ValueError:
        return False
    return all((folder / name).is_file() for name in names)


def fetch(fetch_one, with_weights=True):
    """Fetches the files of a preset.

    Args:
        fetch_one: function from the name of a file to its `pathlib.Path`.
        with_weights: bool, whether the weights are needed.

    Returns:
        The `pathlib.Path` of their folder.
    """
    folder = fetch_one(CONFIG).parent
    paths = [fetch_one(METADATA)]
    metadata = _read(paths[0].parent, METADATA)
    if with_weights and metadata.get("has_weights") is not False:
        if _is_sharded(metadata):
            index = fetch_one(INDEX)
            paths += [index, *map(fetch_one, _shards(index.parent))]
        else:
            paths.append(fetch_one(WEIGHTS))
    folders = sorted({str(path.parent) for path in (folder / CONFIG, *paths)})
    if len(folders) > 1:
        raise ConnectionError(
            "The preset was replaced on the hub while it was fetched. Load it "
            f"again. Received: files in {', '.join(folders)}"
        )
    return folder


def read_metadata(folder):
    """Reads the metadata of a preset, a dict."""
    _require(folder, METADATA)
    metadata = _read(folder, METADATA)
    try:
        safety.check_version(metadata, folder)
    except safety.NewerVersionError:
        raise
    except ValueError as error:
        raise damaged_config(folder, error) from error
    return metadata


def read_config(folder, with_weights=True, may_refer=None):
    """Reads the config of a preset, after checking all of its files.

    Args:
        folder: `pathlib.Path`.
        with_weights: bool, whether the weights are needed as well. Presets that
            name the sizes of a network have none. Defaults to `True`.
        may_refer: function, see `safety.check_config`. Defaults to `None`.

    Returns:
        A dict for `keras.saving.deserialize_keras_object`.
    """
    safety.check_links(folder, (CONFIG, METADATA, WEIGHTS, INDEX))
    _require(folder, CONFIG, METADATA)
    config = _read(folder, CONFIG)
    metadata = read_metadata(folder)
    safety.check_config(config, folder, may_refer)
    if with_weights and metadata.get("has_weights") is False:
        raise ValueError(
            "This preset holds the sizes of a network, without weights. Pass "
            "`load_weights=False` for a network with fresh ones. "
            f"Received: preset={folder.name!r}, load_weights=True"
        )
    if with_weights:
        names = file_names(folder)
        safety.check_links(folder, names)
        _require(folder, *names)
    return config


def file_names(folder):
    """The names of the files of a preset with weights, a list."""
    metadata = _read(folder, METADATA)
    names = [CONFIG, METADATA]
    if metadata.get("has_weights") is False:
        return names
    if not _is_sharded(metadata):
        return [*names, WEIGHTS]
    _require(folder, INDEX)
    return [*names, INDEX, *_shards(folder)]


def _is_sharded(metadata):
    return metadata.get("sharded") is True


def _shards(folder):
    try:
        return weight_files.shards(folder / INDEX)
    except (TypeError, ValueError) as error:
        raise damaged_weights(folder, error, INDEX) from error


def _read(folder, name):
    try:
        return json_file.read(folder / name, _MAX_BYTES)
    except (OSError, ValueError) as error:
        raise damaged_config(folder, error) from error


def _require(folder, *names):
    """Raises unless the folder has these files."""
    for name in names:
        if not (folder / name).is_file():
            raise ValueError(
                f"A preset folder holds {CONFIG}, {METADATA} and {WEIGHTS}, or "
                f"{INDEX} and the files that it names; "
                f"`{name}` is missing. Save the object again with "
                f"`save_to_preset`. Received: preset={str(folder)!r}"
            )


def damaged_config(folder, error):
    """The error of a config that cannot be read or understood."""
    return ValueError(
        f"`{CONFIG}` or `{METADATA}` of this preset is damaged, from another "
        "version of the library, or names a class of yours that is not "
        "imported and registered with Keras. Received: "
        f"preset={str(folder)!r} ({error})"
    )


def damaged_weights(folder, error, name=WEIGHTS):
    """The error of weights that cannot be read, or not by this config."""
    return ValueError(
        f"`{name}` of this preset is damaged, or not that of its config. "
        f"Received: preset={str(folder)!r} ({error})"
    )


def load_weights(weights, folder):
    """Loads the weights of a preset into a `keras.Model`."""
    names = [n for n in file_names(folder) if n not in (CONFIG, METADATA)]
    try:
        for name in names:
            if name != INDEX:
                weight_files.check(folder / name, weights)
        weights.load_weights(folder / names[0])
    except Exception as error:
        raise damaged_weights(folder, error, names[0]) from error


def _as_json(value):
    return json.dumps(value, indent=2, default=_plain) + "\n"


def _plain(value):
    """Converts NumPy numbers, NumPy arrays and paths to JSON values."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(
        "`metadata` holds what JSON can: numbers, strings, lists and dicts. "
        f"Received: a `{type(value).__module__}.{type(value).__name__}`, "
        f"{value!r}"
    )


def _is_preset_or_empty(folder):
    if not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    names -= {CONFIG, METADATA, WEIGHTS, INDEX}
    return all(map(weight_files.is_shard, names))
