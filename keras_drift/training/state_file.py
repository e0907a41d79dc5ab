"""Nested states of plain values and arrays in one file."""

import json
import reprlib
import zipfile

import numpy as np

from keras_drift.atomic_files import write_arrays

_ARRAY = "__array__"


class DamagedError(ValueError):
    """A file that `write` did not write, or not to its end."""


def write(path, state):
    """Writes a state to one file, whole or not at all.

    Args:
        path: of the file; by custom it ends in `.npz`.
        state: dict of dicts, lists, NumPy arrays and what JSON can hold.
    """
    arrays = []
    text = json.dumps(_without_arrays(state, arrays))
    named = {str(i): array for i, array in enumerate(arrays)}
    write_arrays(path, {"state": text, **named}, synced=True)


def read(path):
    """Reads what `write` wrote.

    Args:
        path: of the file.

    Returns:
        The state.
    """
    try:
        with open(path, "rb") as file, np.load(file) as arrays:
            state = json.loads(str(arrays["state"]))
            return _with_arrays(state, arrays)
    except (
        EOFError,
        KeyError,
        OSError,
        ValueError,
        zipfile.BadZipFile,
    ) as error:
        raise DamagedError(
            "This file holds no state of a training run, or it is damaged. "
            f"Received: path={str(path)!r}."
        ) from error


def check(value, owner):
    """Refuses what `read` would give back as something else, or not at all.

    Args:
        value: a state, or a part of it.
        owner: str, what has given it, for the message.
    """
    if isinstance(value, (np.ndarray, np.generic)):
        fits = value.dtype.kind in "biufc" or value.dtype.name == "bfloat16"
    elif isinstance(value, dict):
        fits = all(type(key) is str for key in value)
    else:
        fits = isinstance(value, (str, int, float, list, tuple, type(None)))
    if not fits:
        raise TypeError(
            "A checkpoint holds NumPy arrays of numbers, str, int, float, bool "
            "and `None`, in lists, tuples, which are restored as lists, and "
            "dicts with keys of type str. Use "
            "`keras.ops.convert_to_numpy` for tensors. Received: "
            f"{reprlib.repr(value)} of type {type(value).__name__} in the "
            f"state of {owner}"
        )
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for each in value:
            check(each, owner)


def _without_arrays(value, arrays):
    """The value with references in place of its arrays, which are listed."""
    if isinstance(value, dict):
        return {k: _without_arrays(v, arrays) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_arrays(v, arrays) for v in value]
    if isinstance(value, (np.ndarray, np.generic)):
        value = np.asarray(value)
        reference = [len(arrays), value.dtype.name]
        # NumPy's files know no bfloat16.
        is_known = value.dtype.kind in "biufc"
        arrays.append(value if is_known else value.view("uint16"))
        return {_ARRAY: reference}
    return value


def _with_arrays(value, arrays):
    if isinstance(value, dict) and set(value) == {_ARRAY}:
        index, dtype = value[_ARRAY]
        array = arrays[str(index)]
        return array if array.dtype.name == dtype else array.view(dtype)
    if isinstance(value, dict):
        return {k: _with_arrays(v, arrays) for k, v in value.items()}
    if isinstance(value, list):
        return [_with_arrays(v, arrays) for v in value]
    return value
