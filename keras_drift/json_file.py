"""Reads JSON objects from files of unknown origin."""

import json

# The config of a classifier lists the names of up to 22,000 classes.
_MAX_BYTES = 1_000_000


def read(path, max_bytes=_MAX_BYTES):
    """Reads a JSON object.

    Args:
        path: `pathlib.Path`.
        max_bytes: int, the largest size of the file. Defaults to a megabyte.

    Returns:
        A dict.

    Raises:
        OSError: if there is no such file.
        ValueError: if it is too large or not a JSON object. The message does
            not name the file.
    """
    if path.stat().st_size > max_bytes:
        raise ValueError("it is too large")
    try:
        content = json.loads(path.read_text("utf-8"))
    except RecursionError as error:
        raise ValueError("its brackets are nested too deeply") from error
    if not isinstance(content, dict):
        raise ValueError("it does not hold a JSON object")
    return content
