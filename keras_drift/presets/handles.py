"""Resolves the handle of a preset to a folder."""

import importlib
import pathlib

from keras_drift import checks
from keras_drift.presets import files
from keras_drift.presets import hub
from keras_drift.presets import registry


def resolve(handle):
    """Resolves a handle to the folder of the preset, fetched if need be.

    Args:
        handle: the name of a preset, the path of a folder, or
            `"hf://owner/name"`, a preset on the Hugging Face hub.

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
    if hub.is_handle(handle):
        return _fetched(*hub.parse(handle))
    return pathlib.Path(handle).expanduser()


def check(handle):
    """Refuses what is no handle of a preset, without fetching anything."""
    if str(handle) in registry.names():
        return
    if hub.is_handle(handle):
        hub.parse(handle)
        return
    if not pathlib.Path(handle).expanduser().is_dir():
        raise ValueError(
            "A preset is the name of one, the path of a folder that "
            "`save_to_preset` wrote, or 'hf://owner/name', such a folder on "
            "the Hugging Face hub. Names: "
            f"{', '.join(map(repr, registry.names()))}."
            f"{checks.did_you_mean(handle, registry.names())} "
            f"Received: preset={str(handle)!r}"
        )


def is_remote(handle):
    """Whether a preset is, or once was, fetched from a hub."""
    return str(handle) in registry.released_names() or hub.is_handle(handle)


def check_new(directory):
    """Refuses to write a preset under the name of another one."""
    if str(directory) in registry.names() or hub.is_handle(directory):
        raise ValueError(
            "A preset has this name, and would be loaded in place of the "
            "folder. Choose another name, or a path such as "
            f"'presets/{pathlib.PurePath(directory).name}'. "
            f"Received: directory={str(directory)!r}"
        )


def _fetched(repo_id, revision):
    """The folder in the hub's cache with the files of a preset."""
    paths = [
        hub.fetch(repo_id, name, revision)
        for name in (files.CONFIG, files.METADATA, files.WEIGHTS)
    ]
    return paths[0].parent
