"""Cache of the presets that are converted on first use."""

import os
import pathlib

from keras_drift.presets import files


def root():
    """The folder of the cache.

    That of the environment variable `KERAS_DRIFT_CACHE`, or else
    `keras_drift/presets` in the folder of Keras, `~/.keras` or `KERAS_HOME`.
    """
    if os.environ.get("KERAS_DRIFT_CACHE"):
        return pathlib.Path(os.environ["KERAS_DRIFT_CACHE"]).expanduser()
    keras_home = os.environ.get("KERAS_HOME") or "~/.keras"
    return pathlib.Path(keras_home).expanduser() / "keras_drift" / "presets"


def preset(name, make):
    """Returns the folder of a preset, made by one process at a time.

    Args:
        name: str.
        make: function of the folder, which writes the preset to it.

    Returns:
        A `pathlib.Path`.
    """
    folder = root() / name
    if files.is_complete(folder):
        return folder
    from filelock import FileLock  # comes with huggingface_hub

    root().mkdir(parents=True, exist_ok=True)
    with FileLock(root() / f".{name}.lock"):
        # Another process may have made it while this one waited.
        if not files.is_complete(folder):
            make(folder)
    return folder
