"""Files that have their name only once they are complete."""

import os
import pathlib
import re
import shutil
import tempfile
import uuid

import numpy as np

_UNFINISHED = re.compile(r"\.[0-9a-f]{32}\.(.+)")


def write_atomically(path, write, synced=False):
    """Writes a file, whole or not at all.

    Args:
        path: of the file. What was there is replaced once the new one is
            complete.
        write: function of a path, which writes the file there.
        synced: bool, whether to wait until the file is on the disk, which what
            cannot be made again needs. Defaults to `False`.
    """
    path = pathlib.Path(path)
    # Of its own, so that two processes do not write to the same one.
    unfinished = path.with_name(f".{uuid.uuid4().hex}.{path.name}")
    try:
        write(unfinished)
        if synced:
            with open(unfinished, "rb+") as file:
                os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def require_writable(directory, subject, received):
    """Creates a folder; raises an error if no file can be written to it.

    Args:
        directory: path of the folder.
        subject: str, what would be written: `"checkpoint"`.
        received: str, the argument for the message: `"directory='run'"`.

    Raises:
        OSError: of the kind that the operating system gave.
    """
    try:
        pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=directory).close()
    except OSError as error:
        raise OSError(
            error.errno,
            f"No {subject} can be written to this folder: {error.strerror}. "
            "Choose another one, or make it writable. "
            f"Received: {received}",
        ) from error


def name_of_unfinished(path):
    """The name that an unfinished file was to have, or `None`.

    Args:
        path: of a file that a process may have left when it was killed.
    """
    match = _UNFINISHED.fullmatch(pathlib.Path(path).name)
    return match and match[1]


def write_bytes(path, content, synced=False):
    """Writes bytes to a file, atomically."""
    write_atomically(path, lambda p: p.write_bytes(content), synced)


def write_arrays(path, arrays, synced=False):
    """Writes a dict of arrays to an `.npz` file, atomically."""

    def write(unfinished):
        with open(unfinished, "wb") as file:
            np.savez(file, **arrays)

    write_atomically(path, write, synced)


def move_folder(fresh, target):
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
