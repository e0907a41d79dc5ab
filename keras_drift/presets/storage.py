"""Fetches files from public buckets of Google Cloud Storage."""

import os
import pathlib
import re
import uuid

import keras

from keras_drift.presets import cache
from keras_drift.presets import network

PREFIX = "gs://"
_PART = r"(?!\.+(?:/|$))[\w.-]+"
_HANDLE = re.compile(rf"gs://({_PART}(?:/{_PART})*)/?")
_SERVER = "https://storage.googleapis.com"


def parse(handle):
    """The bucket and the folder of `"gs://bucket/folder"`, a str."""
    match = _HANDLE.fullmatch(str(handle))
    if match is None:
        raise ValueError(
            "A folder of Google Cloud Storage is 'gs://bucket/folder', of "
            "letters, digits, '-', '_' and '.'. "
            f"Received: preset={str(handle)!r}"
        )
    return match[1]


def fetcher(handle):
    """A function from the name of a file of a preset to its path.

    The bucket must be public. A file is downloaded once, to the folder `gs` in
    the cache of presets; delete it there to download it again.

    Args:
        handle: str, see `parse`.

    Raises:
        ConnectionError: by the function, if a file is not cached, and the
            server not reached.
        ValueError: by the function, if there is no such file.
    """
    place = parse(handle)
    folder = cache.root() / "gs" / place

    def fetch(filename):
        path = folder / filename
        if path.is_file():
            return path
        url = f"{_SERVER}/{place}/{filename}"
        if not network.is_reachable(_SERVER):
            raise ConnectionError(
                f"`{filename}` is not in the cache {str(folder)!r}, and could "
                f"not be fetched from {url}. Where there is network, download "
                "it, and copy it to this folder."
            )
        # Where it is missing, Keras takes a folder that all users share.
        folder.mkdir(parents=True, exist_ok=True)
        try:
            # A process that is killed leaves a part of a file behind.
            found = keras.utils.get_file(
                f".{uuid.uuid4().hex}.{filename}",
                url,
                cache_subdir=str(pathlib.PurePath("gs", place)),
                cache_dir=str(cache.root()),
            )
        except Exception as error:
            raise ValueError(
                "Google Cloud Storage has no such file, or the bucket is not "
                f"public. Received: preset={str(handle)!r}, "
                f"filename={filename!r} ({error})"
            ) from error
        os.replace(found, path)
        return path

    return fetch
