"""Reads and writes preset folders; writing is atomic."""

import json
import os
import pathlib
import shutil
import tempfile

import keras
import numpy as np

from keras_drift.version import __version__

CONFIG = "config.json"
WEIGHTS = "model.weights.h5"
METADATA = "metadata.json"


class Weights(keras.Model):
    """Wraps a layer, so that Keras saves its weights like those of a model.

    Args:
        layer: a built `keras.layers.Layer`.
    """

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.built = True


def write(directory, config, weights, metadata):
    """Writes a preset folder.

    Args:
        directory: path of the folder; an existing preset is replaced. A
            symbolic link is followed.
        config: dict, the serialized object.
        weights: `keras.Model` whose weights are saved.
        metadata: dict of JSON values, or NumPy numbers and arrays.
    """
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
    texts = {CONFIG: _as_json(config), METADATA: _as_json(metadata)}
    fresh = pathlib.Path(
        tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent)
    )
    try:
        for name, text in texts.items():
            (fresh / name).write_text(text, "utf-8")
        weights.save_weights(fresh / WEIGHTS)
        fresh.chmod(0o755)
        _replace(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def is_complete(folder):
    """Whether no file of a preset is missing from a folder."""
    return all(
        (folder / name).is_file() for name in (CONFIG, WEIGHTS, METADATA)
    )


def read_config(folder, with_weights=True):
    """Reads the config of a preset, after checking that no file is missing.

    Args:
        folder: `pathlib.Path`.
        with_weights: bool, whether the weights are needed as well. Presets that
            name the sizes of a network have none. Defaults to `True`.

    Returns:
        A dict for `keras.saving.deserialize_keras_object`.
    """
    _require(folder, CONFIG, METADATA)
    try:
        metadata = dict(json.loads((folder / METADATA).read_text("utf-8")))
        config = json.loads((folder / CONFIG).read_text("utf-8"))
    except (TypeError, ValueError) as error:
        raise damaged_config(folder, error) from error
    if with_weights and metadata.get("has_weights") is False:
        raise ValueError(
            "This preset holds the sizes of a network, without weights. Pass "
            "`load_weights=False` for a network with fresh ones. "
            f"Received: preset={folder.name!r}, load_weights=True"
        )
    if with_weights:
        _require(folder, WEIGHTS)
    return config


def _require(folder, *names):
    """Raises unless the folder has these files."""
    for name in names:
        if not (folder / name).is_file():
            raise ValueError(
                f"A preset folder holds {CONFIG}, {WEIGHTS} and {METADATA}; "
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


def load_weights(weights, folder):
    """Loads the weights of a preset into a `keras.Model`."""
    try:
        weights.load_weights(folder / WEIGHTS)
    except Exception as error:
        raise ValueError(
            f"`{WEIGHTS}` of this preset is damaged, or not that of its "
            f"config. Received: preset={str(folder)!r} ({error})"
        ) from error


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
    return names <= {CONFIG, WEIGHTS, METADATA}


def _replace(fresh, target):
    """Moves a complete folder to its path, then deletes the old one."""
    if not target.exists():
        os.replace(fresh, target)
        return
    old = fresh.with_name(fresh.name + ".old")
    os.replace(target, old)
    try:
        os.replace(fresh, target)
    except OSError:
        os.replace(old, target)
        raise
    shutil.rmtree(old)
