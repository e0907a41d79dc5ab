"""Trained models as folders of plain data."""

import json
import os
import pathlib
import shutil
import tempfile

import keras

from keras_drift import checks
from keras_drift.version import __version__

CONFIG = "config.json"
WEIGHTS = "model.weights.h5"
METADATA = "metadata.json"

_FOLDER = pathlib.Path(__file__).parent.parent / "presets"


def _built_in():
    """What ships with the package: `{name: metadata}`."""
    return {
        path.parent.name: json.loads(path.read_text("utf-8"))
        for path in sorted(_FOLDER.glob(f"*/{METADATA}"))
    }


BUILT_IN = _built_in()


def save(model, directory, metadata):
    """Writes a preset folder, complete or not at all.

    Args:
        model: the `DriftModel`.
        directory: path of the folder; an older one is replaced.
        metadata: dict that JSON can hold.
    """
    target = pathlib.Path(directory)
    if target.exists() and not _is_preset_or_empty(target):
        raise ValueError(
            "A preset replaces its folder, and this path holds other things. "
            f"Choose another. Received: directory={str(directory)!r}"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    metadata = {
        **metadata,
        "keras_drift_version": __version__,
        "keras_version": keras.__version__,
        "num_parameters": model.generator.count_params(),
    }
    config = keras.saving.serialize_keras_object(model)
    config.pop("compile_config", None)  # nor how it was compiled
    fresh = pathlib.Path(
        tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent)
    )
    try:
        (fresh / CONFIG).write_text(
            json.dumps(config, indent=2) + "\n", "utf-8"
        )
        (fresh / METADATA).write_text(
            json.dumps(metadata, indent=2) + "\n", "utf-8"
        )
        _without_optimizer(model).save_weights(fresh / WEIGHTS)
        fresh.chmod(0o755)
        _replace(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def load(cls, preset):
    """Makes the model of a preset, with its weights.

    Args:
        cls: the class that the model must be an instance of.
        preset: a name in `BUILT_IN`, or a path.

    Returns:
        An instance of `cls`.
    """
    folder = _find(preset)
    for name in (CONFIG, WEIGHTS, METADATA):
        if not (folder / name).is_file():
            raise ValueError(
                f"A preset folder holds {CONFIG}, {WEIGHTS} and {METADATA}; "
                f"`{name}` is missing. Save the model again with "
                f"`save_to_preset`. Received: preset={str(preset)!r}"
            )
    try:
        json.loads((folder / METADATA).read_text("utf-8"))
        config = json.loads((folder / CONFIG).read_text("utf-8"))
        model = keras.saving.deserialize_keras_object(config)
    except Exception as error:
        raise ValueError(
            f"`{CONFIG}` or `{METADATA}` of this preset is damaged, from "
            "another version of the library, or names a class of yours that "
            "is not imported and registered with Keras. Received: "
            f"preset={str(preset)!r} ({error})"
        ) from error
    if not isinstance(model, cls):
        raise ValueError(
            f"This preset holds a `{type(model).__name__}`, not a "
            f"`{cls.__name__}`. Received: preset={str(preset)!r}"
        )
    try:
        model.load_weights(folder / WEIGHTS)
    except Exception as error:
        raise ValueError(
            f"`{WEIGHTS}` of this preset is damaged, or not that of its "
            f"config. Received: preset={str(preset)!r} ({error})"
        ) from error
    return model


def _without_optimizer(model):
    """A copy that has not been compiled: presets hold no optimizer state."""
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    copy.seed_generator.state.assign(model.seed_generator.state)
    return copy


def _find(preset):
    if str(preset) in BUILT_IN:
        return _FOLDER / str(preset)
    folder = pathlib.Path(preset)
    if not folder.is_dir():
        names = ", ".join(map(repr, BUILT_IN)) or "none"
        raise ValueError(
            "A preset is the name of a built-in one or the path of a folder "
            f"that `save_to_preset` wrote. Built in: {names}."
            f"{checks.did_you_mean(preset, BUILT_IN)} "
            f"Received: preset={str(preset)!r}"
        )
    return folder


def _is_preset_or_empty(folder):
    if not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    return names <= {CONFIG, WEIGHTS, METADATA}


def _replace(fresh, target):
    """Moves a complete folder into place; the old one goes last."""
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
