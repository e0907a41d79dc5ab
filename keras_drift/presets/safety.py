"""Checks of preset folders of unknown origin, before anything is made of them.

Keras makes objects of its own classes and of registered ones only, and refuses
links and virtual data in weights. These checks come first, and say what is
wrong with the preset.
"""

import re

from keras_drift.version import __version__

# Layers that run code which is in the config, or in a file that it names.
_RUNS_CODE = (
    "Lambda",
    "__lambda__",
    "FlaxLayer",
    "JaxLayer",
    "TFSMLayer",
    "TorchModuleWrapper",
)
_VERSION = re.compile(r"(\d{1,9})\.(\d{1,9})(?:\D.*)?", re.DOTALL)


def check_links(folder, names):
    """Refuses files that are symbolic links to somewhere else.

    Args:
        folder: `pathlib.Path` of the preset. It may be a link itself.
        names: the names of its files; those that are missing are passed over.
    """
    inside = [folder.resolve()]
    if folder.parent.name == "snapshots":
        # The cache of the Hugging Face hub, where files are links to those of
        # the repository, or to those of all repositories.
        repository = inside[0].parents[1]
        inside += [repository / "blobs", repository.parent / "blobs"]
    for name in names:
        path = folder / name
        if path.is_symlink():
            target = path.resolve()
            if not any(map(target.is_relative_to, inside)):
                raise ValueError(
                    f"`{name}` of this preset is a symbolic link to a file "
                    "that is no part of it. Replace it by a copy of the file, "
                    f"if you trust it. Received: preset={str(folder)!r}, and "
                    f"{name!r} links to {str(target)!r}"
                )


def check_version(metadata, folder):
    """Refuses the preset of a later version of this library."""
    version = metadata.get("keras_drift_version")
    if version is None:
        return
    match = _VERSION.fullmatch(str(version))
    if match is None:
        raise ValueError(f"`keras_drift_version` is {version!r:.80}")
    ours = _VERSION.fullmatch(__version__)
    if tuple(map(int, match.groups())) > tuple(map(int, ours.groups())):
        raise NewerVersionError(
            "This preset was written by a later version of keras_drift, and "
            "may mean something else to this one. Run `pip install --upgrade "
            f"keras-drift`. Received: preset={str(folder)!r}, of version "
            f"{version}; installed is {__version__}"
        )


class NewerVersionError(ValueError):
    """A preset of a later version."""


def check_config(config, folder, may_refer=None):
    """Refuses a config that runs code, or that leads out of the preset.

    Args:
        config: what the file of the config holds.
        folder: `pathlib.Path`, for the message.
        may_refer: function of the handle of another preset, whether this one
            may refer to it. Defaults to `None`: it may refer to all.
    """
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            _check_text(value, folder)
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += [*value, *value.values()]
            _check_class(value.get("class_name"), folder)
            handle = value.get("handle")
            if may_refer and isinstance(handle, str) and not may_refer(handle):
                raise _leads_to_folder(handle, folder)


def _check_class(name, folder):
    # Keras finds "layers.Lambda" in the module "keras" as well.
    if isinstance(name, str) and name.rpartition(".")[-1] in _RUNS_CODE:
        raise ValueError(
            f"This preset has a `{name}`, which runs code that it brings "
            "along, so it is not loaded. Whoever made it can write a layer as "
            "a class, and register it with "
            "`keras.saving.register_keras_serializable`. Received: "
            f"preset={str(folder)!r}"
        )


def _check_text(text, folder):
    if ".." in re.split(r"[/\\]", text):
        raise ValueError(
            "The config of this preset has a path that leads out of it. A "
            "preset refers to others by their names or by absolute paths. "
            f"Received: preset={str(folder)!r}, with {text!r:.200}"
        )


def _leads_to_folder(handle, folder):
    return ValueError(
        "A preset on a hub refers to others by their names, or by their "
        "addresses on a hub, and not to folders, which are others where it is "
        "loaded. Upload the other one as well, and save this one with its "
        f"address. Received: preset={str(folder)!r}, with {handle!r:.200}"
    )
