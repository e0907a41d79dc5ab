"""Folder of a run that can be interrupted and continued."""

import json
import os
import pathlib
import zipfile

import numpy as np

from keras_drift import user_warnings
from keras_drift.atomic_files import write_bytes


class RunDirectory:
    """Files of a run, and the arguments that they were made with.

    A file is complete once it has its name, since it is written under another
    one. A run with other arguments is refused, so that one folder never holds
    the results of two models or scales.

    Args:
        directory: path of a folder, created if needed.
        name: str, the file of the arguments.
        arguments: dict of JSON values.
    """

    def __init__(self, directory, name, arguments):
        self.path = checked_path("directory", directory)
        arguments = json.loads(json.dumps(arguments))
        file = self.path / name
        if file.exists():
            self._check(file, arguments)
            return
        if self.path.exists() and any(
            not each.name.startswith(".") for each in self.path.iterdir()
        ):
            raise ValueError(
                f"`directory` holds other files, and no `{name}` of a run to "
                "continue. Choose an empty folder. "
                f"Received: directory={str(directory)!r}"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        self.write_json(name, arguments)

    def _check(self, file, arguments):
        try:
            begun = dict(json.loads(file.read_text("utf-8")))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"`{file.name}` of this folder is damaged. Choose another "
                f"folder. Received: directory={str(self.path)!r}"
            ) from error
        for key in sorted({*begun, *arguments}):
            if begun.get(key) != arguments.get(key):
                raise ValueError(
                    f"This folder holds a run with another `{key}`. Continue "
                    "it with the same arguments, or choose another folder. "
                    f"Received: {key}={_short(arguments.get(key))}, begun with "
                    f"{key}={_short(begun.get(key))}, in "
                    f"directory={str(self.path)!r}"
                )

    def write_json(self, name, values):
        """Writes a dict of JSON values."""
        text = json.dumps(values, indent=2) + "\n"
        write_bytes(self.path / name, text.encode())


def checked_path(name, value):
    """A path as a `pathlib.Path`; not that of a file."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(
            f"`{name}` is the path of a folder. Received: {name}={value!r}"
        )
    path = pathlib.Path(value).expanduser()
    if path.exists() and not path.is_dir():
        raise ValueError(
            f"`{name}` is the path of a folder, and this is a file. "
            f"Received: {name}={str(value)!r}"
        )
    return path


def read_arrays(path):
    """Reads the arrays of an `.npz` file that this library has written.

    Args:
        path: `pathlib.Path` of the file.

    Returns:
        A dict; or `None` if there is no such file, or with a warning if it is
        damaged: it is made again then.
    """
    try:
        # NumPy leaves a file open that it opened itself and cannot read.
        with open(path, "rb") as file, np.load(file) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        user_warnings.warn(
            f"{str(path)!r} is damaged, and is made again: {error}"
        )
        return None


def _short(value):
    """A value; the beginning of a digest."""
    is_digest = isinstance(value, str) and len(value) == 64
    return repr(f"{value[:12]}...") if is_digest else repr(value)
