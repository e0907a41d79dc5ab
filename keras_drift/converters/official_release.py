"""The official release on the Hugging Face hub: names, cards, downloads."""

import pathlib
import re
import sys

from keras_drift import checks
from keras_drift.converters import artifact
from keras_drift.presets import hub
from keras_drift.presets import registry


def name_of(source):
    """The name of a released preset, or `None` for the path of a folder.

    Args:
        source: the name of the preset, its name in the release, such as
            `"latent_L_sota"`, or a path.
    """
    names = {name: name for name in registry.released_names()}
    for name in registry.released_names():
        folder = registry.released(name)["source"]["folder"]
        names.setdefault(pathlib.PurePosixPath(folder).name, name)
    if str(source) in names:
        return names[str(source)]
    if not pathlib.Path(source).expanduser().is_dir():
        raise ValueError(
            "An artifact is the path of a folder, or the name of a released "
            f"one: {', '.join(map(repr, names))}."
            f"{checks.did_you_mean(source, list(names))} "
            f"Received: artifact={str(source)!r}"
        )
    return None


def entry_of(folder):
    """What is known of the release whose path a folder has, or `{}`."""
    path = folder.absolute().as_posix()
    for name in registry.released_names():
        entry = registry.released(name)
        if path.endswith("/" + entry["source"]["folder"]):
            return entry
    return {}


def card(source):
    """The metadata of the preset of an `Artifact`: what, and from where."""
    entry = entry_of(source.folder)
    metadata = entry.get("metadata") or {
        "description": "Converted from a run of the official trainer.",
        "license": "Not stated by the artifact.",
    }
    metadata.pop("num_parameters", None)  # counted when the preset is written
    origin = entry.get("source", {})
    origin.pop("num_bytes", None)  # about; the sizes of the files are exact
    path = source.folder.absolute().as_posix()
    revision = re.search("/snapshots/([0-9a-f]{40})/", path)
    if entry and revision:
        origin["revision"] = revision[1]
    for key in ("step", "ema_decay"):
        origin[key] = source.metadata.get(key)
    return {**metadata, "source": {**origin, "files": source.checksums()}}


def fetch(name, directory):
    """Fetches a released artifact, reporting size and progress.

    Args:
        name: str, the name of the preset.
        directory: path of the preset that is to be written, for the messages.

    Returns:
        The `pathlib.Path` of the folder in the cache of the hub.
    """
    source = registry.released(name)["source"]
    report(f"fetching {name}, {_size(source)}, from {_address(source)}")
    for file in (artifact.METADATA, artifact.WEIGHTS):
        try:
            path = hub.fetch(source["repo_id"], f"{source['folder']}/{file}")
        except ConnectionError as error:
            raise _not_fetched(name, source, directory, error) from error
    return path.parent


def report(text):
    """Tells of progress, without mixing with the output of a program."""
    print(f"keras_drift: {text}", file=sys.stderr, flush=True)


def _not_fetched(name, source, directory, error):
    """The error without network: what was wanted, and how to do it by hand."""
    while error.__cause__ is not None:
        error = error.__cause__
    cause = str(error).strip().partition("\n")[0] or type(error).__name__
    folder = source["folder"]
    return ConnectionError(
        f"The preset {name!r} is fetched on first use: `{artifact.METADATA}` "
        f"and `{artifact.WEIGHTS}`, {_size(source)}, from {_address(source)}. "
        f"They are not in the hub's cache, and the hub was not reached "
        f"({cause}). By hand: where there is network, run\n\n"
        f"  hf download {source['repo_id']} --include '{folder}/*' "
        "--local-dir drifting\n\n"
        "and where the preset is used, with that folder 'drifting',\n\n"
        f"  python -m keras_drift.converters.official drifting/{folder} "
        f"'{directory}'"
    )


def _size(source):
    return f"about {source['num_bytes'] / 1e9:.1f} GB"


def _address(source):
    return (
        f"https://huggingface.co/{source['repo_id']}/tree/main/"
        f"{source['folder']}"
    )
