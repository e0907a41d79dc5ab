"""The manifest of a checkpoint that several processes have written."""

import json
import re

from keras_drift import atomic_files
from keras_drift import backend
from keras_drift import fingerprints
from keras_drift import json_file
from keras_drift.training.state_file import DamagedError
from keras_drift.version import __version__

NAME = "manifest.json"
# Orbax adds the time of the commit, later than the manifest. Nobody reads it.
_NOT_CHECKED = "_CHECKPOINT_METADATA"
_MAX_BYTES = 2**30  # it names every file and every variable


class MissingPartError(OSError):
    """A process has not written what is its own."""


def write_part(directory):
    """Writes the checksums of the files that this process has written.

    Args:
        directory: `pathlib.Path` of the checkpoint.
    """
    own = backend.process_index()
    # As Orbax names what a process writes, and `sharded_state`.
    pattern = re.compile(rf"([^/]+/)*([^/]+\.)?process_{own}(\.npz|/.+)?")
    names = [n for n in _names(directory) if pattern.fullmatch(n)]
    _write(_part(directory, own), _entries(directory, names))


def collect_parts(directory):
    """Takes the checksums that all processes have written.

    Args:
        directory: `pathlib.Path` of the checkpoint.

    Returns:
        A dict from names of files to their sizes and checksums.
    """
    entries = {}
    for index in range(backend.num_processes()):
        part = _part(directory, index)
        if not part.is_file():
            raise MissingPartError(
                f"Process {index} has not written its shards to this folder. "
                "Its own message says why, unless the folder is not one that "
                "all hosts share"
            )
        entries.update(json.loads(part.read_text("utf-8")))
        part.unlink()
    return entries


def write(directory, variables, entries):
    """Writes the manifest, as the last file.

    Args:
        directory: `pathlib.Path` of the checkpoint.
        variables: dict from names to lists of variables.
        entries: dict that `collect_parts` returned. Files that it lacks are
            added, and those that are not there any more left out.
    """
    names = _names(directory)
    others = [name for name in names if name not in entries]
    entries = {**entries, **_entries(directory, others)}
    _write(
        directory / NAME,
        {
            "keras_drift": __version__,
            "num_processes": backend.num_processes(),
            "variables": {
                name: [[v.path, list(v.shape), str(v.dtype)] for v in group]
                for name, group in variables.items()
            },
            "files": {name: entries[name] for name in names},
        },
    )


def read(path):
    """Reads the manifest and checks all files, each process a part of them.

    Args:
        path: `pathlib.Path` of the checkpoint.

    Returns:
        A dict, see `write`.

    Raises:
        DamagedError: in all processes, if one has found a damaged file.
    """
    try:
        manifest = json_file.read(path / NAME, _MAX_BYTES)
        files = sorted(manifest["files"].items())
        _check(manifest)
    except (AttributeError, KeyError, OSError, TypeError, ValueError):
        files = None
    if not all(backend.of_all_processes(int(files is not None))):
        raise _damaged(path, NAME)
    first, step = backend.process_index(), backend.num_processes()
    found = next(
        (
            index
            for index in range(first, len(files), step)
            if not _is_intact(path / files[index][0], *files[index][1])
        ),
        -1,
    )
    found = max(backend.of_all_processes(found))
    if found >= 0:
        raise _damaged(path, files[found][0])
    return manifest


def _check(manifest):
    """Raises a `TypeError`, `KeyError` or `ValueError` if it is damaged."""
    int(manifest["num_processes"])
    for group in manifest["variables"].values():
        for path, shape, dtype in group:
            str(path), tuple(shape), str(dtype)
    for size, checksum in manifest["files"].values():
        int(size), str(checksum)


def _damaged(path, name):
    return DamagedError(
        f"This checkpoint is damaged: its file {name!r} is not as it was "
        f"written. Received: path={str(path)!r}."
    )


def _is_intact(path, size, checksum):
    try:
        is_whole = path.stat().st_size == size
        return is_whole and fingerprints.of_file(path) == checksum
    except OSError:
        return False


def _names(directory):
    """The names of all files in a folder and its subfolders."""
    return sorted(
        path.relative_to(directory).as_posix()
        for path in directory.rglob("*")
        if path.is_file() and path.name != _NOT_CHECKED
    )


def _entries(directory, names):
    """Sizes and checksums."""
    return {
        name: [
            (directory / name).stat().st_size,
            fingerprints.of_file(directory / name),
        ]
        for name in names
    }


def _part(directory, index):
    return directory / f"manifest_of_process_{index}.json"


def _write(path, content):
    text = json.dumps(content, indent=1)
    atomic_files.write_bytes(path, text.encode(), synced=True)
