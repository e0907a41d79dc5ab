"""Resolves the handle of a preset to a folder."""

import importlib
import os
import pathlib

from keras_drift import checks
from keras_drift.presets import registry
from keras_drift.presets import remote


def resolve(handle, with_weights=True):
    """Resolves a handle to the folder of the preset, fetched if need be.

    Args:
        handle: the name of a preset, the path of a folder, or the address of a
            preset on a hub, see `remote.FORMS`.
        with_weights: bool, whether its weights are to be fetched. Defaults to
            `True`.

    Returns:
        A `pathlib.Path`.
    """
    check(handle)
    name = str(handle)
    if name in registry.built_in_names():
        return registry.FOLDER / name
    if name in registry.released_names():
        # The converter knows the classes, and so is above this folder.
        converter = importlib.import_module(
            registry.released(name)["converter"]
        )
        return converter.cached(name)
    if remote.of(handle):
        return remote.fetch(handle, with_weights)
    return pathlib.Path(handle).expanduser()


def check(handle):
    """Raises an error for anything but a preset handle; fetches nothing."""
    if str(handle) in registry.names():
        return
    if hub := remote.of(handle):
        hub.parse(handle)
        return
    path = pathlib.Path(handle).expanduser()
    if path.is_file():
        raise ValueError(
            "A preset is a folder that `save_to_preset` wrote, and this is a "
            "file. What `model.save` wrote is loaded by "
            f"`keras.saving.load_model`. Received: preset={str(handle)!r}"
        )
    if _looks_like_path(handle) and not path.exists():
        raise ValueError(
            "There is no such folder. A preset is the path of a folder that "
            f"`save_to_preset` wrote, such a folder on a hub ({remote.FORMS}), "
            "or a name, see `DriftModel.presets`. "
            f"Received: preset={str(handle)!r}"
        )
    if not path.is_dir():
        raise ValueError(
            "A preset is the name of one, the path of a folder that "
            f"`save_to_preset` wrote, or such a folder on a hub: {remote.FORMS}"
            ". Names: "
            f"{', '.join(map(repr, registry.names()))}."
            f"{checks.did_you_mean(handle, registry.names())} "
            f"Received: preset={str(handle)!r}"
        )


def _looks_like_path(handle):
    """Whether it is written as a path is, and not as a name."""
    text = str(handle)
    return (
        isinstance(handle, os.PathLike)
        or text.startswith((".", "~"))
        or any(each in text for each in ("/", "\\"))
    )


def is_remote(handle):
    """Whether a preset is, or once was, fetched from a hub."""
    return str(handle) in registry.released_names() or is_fetched(handle)


def is_fetched(handle):
    """Whether a preset is fetched from a hub as it is."""
    return remote.of(handle) is not None


def is_public(handle):
    """Whether a handle means the same preset on every machine."""
    return str(handle) in registry.names() or is_fetched(handle)


def check_new(directory):
    """Refuses to write a preset under the name of another one."""
    if is_public(directory):
        raise ValueError(
            "A preset has this name, and would be loaded in place of the "
            "folder. Choose another name, or a path such as "
            f"'presets/{pathlib.PurePath(directory).name}'. "
            f"Received: directory={str(directory)!r}"
        )
