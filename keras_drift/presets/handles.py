"""Resolves the handle of a preset to a folder."""

import pathlib

from keras_drift import checks
from keras_drift.presets import hub
from keras_drift.presets import registry


def resolve(handle):
    """Resolves a handle to the folder of the preset.

    Args:
        handle: the name of a built-in preset, or the path of a folder.

    Returns:
        A `pathlib.Path`.
    """
    if str(handle) in registry.names():
        return registry.FOLDER / str(handle)
    folder = pathlib.Path(handle).expanduser()
    if not folder.is_dir():
        names = ", ".join(map(repr, registry.names())) or "none"
        raise ValueError(
            "A preset is the name of a built-in one or the path of a folder "
            f"that `save_to_preset` wrote. Built in: {names}."
            f"{checks.did_you_mean(handle, registry.names())} "
            f"Received: preset={str(handle)!r}"
        )
    return folder


def check_reference(handle):
    """Refuses to refer to a preset that does not exist, as far as is known."""
    if hub.is_handle(handle):
        hub.parse(handle)
    else:
        resolve(handle)


def check_new(directory):
    """Refuses to write a preset under the name of a built-in one."""
    if str(directory) in registry.names():
        raise ValueError(
            "A built-in preset has this name, and would be loaded in place of "
            f"the folder. Choose another name, or a path such as "
            f"'presets/{directory}'. Received: directory={str(directory)!r}"
        )
