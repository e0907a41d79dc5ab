"""Fetches files from Kaggle Models into its own cache, and uploads to it."""

import os
import pathlib
import re

from keras_drift import extras
from keras_drift.presets import network

PREFIX = "kaggle://"
_PART = r"(?!\.+(?:/|$))[\w.-]+"
# Owner, model, framework and variation, and perhaps a version.
_HANDLE = re.compile(rf"kaggle://({_PART}(?:/{_PART}){{3}})(?:/([1-9]\d*))?")
_SERVER = "https://www.kaggle.com"
# As Kaggle calls them. Others are in the card only.
_LICENSES = {
    "apache-2.0": "Apache 2.0",
    "mit": "MIT",
    "cc0-1.0": "CC0: Public Domain",
    "cc-by-4.0": "Attribution 4.0 International (CC BY 4.0)",
}
_NEEDED = "Presets of Kaggle ('kaggle://...')", "kagglehub", "hub"


def parse(handle):
    """Splits `"kaggle://owner/model/keras/variation/version"`.

    Returns:
        `(name, version)`; the version is `None` where there is none.
    """
    match = _HANDLE.fullmatch(str(handle))
    if match is None:
        raise ValueError(
            "A handle of Kaggle Models is 'kaggle://owner/model/keras/"
            "variation', with '/3' behind it for the third version. "
            f"Received: preset={str(handle)!r}"
        )
    return match[1], match[2] and int(match[2])


def fetcher(handle):
    """A function from the name of a file of a preset to its path.

    A file that is not in the cache of kagglehub is downloaded to it. Without a
    version in the handle it is the newest one: of Kaggle, or of the cache where
    Kaggle cannot be reached. All files are of one version.

    Args:
        handle: str, see `parse`.

    Raises:
        ConnectionError: by the function, if a file is not cached, and Kaggle
            not reached.
        ValueError: by the function, if there is no such model or file.
    """
    name, version = parse(handle)
    library = _library()
    state = {"version": version}

    def fetch(filename):
        path = _fetch(library, name, state["version"], filename)
        found = path.parent.name
        if state["version"] is None and found.isdigit():
            state["version"] = int(found)
        return path

    return fetch


def upload(handle, folder, keep_card, license_name=None):
    """Uploads a folder as a model, or as a new version of it.

    Args:
        handle: str, see `parse`, without a version.
        folder: path.
        keep_card: unused; every version has its own card.
        license_name: str, the license. Defaults to `None`: that of earlier
            versions, or none.

    Returns:
        The address of the model.
    """
    del keep_card
    name, version = parse(handle)
    if version is not None:
        raise ValueError(
            "Kaggle gives an upload its version. Leave it out: "
            f"{PREFIX + name!r}. Received: uri={str(handle)!r}"
        )
    known = _LICENSES.get(str(license_name).lower())
    _library().model_upload(name, os.fspath(folder), known)
    return f"https://www.kaggle.com/models/{name}"


def _library():
    return extras.load("kagglehub", *_NEEDED)


def _fetch(library, name, version, filename):
    versioned = name if version is None else f"{name}/{version}"
    # Notebooks of Kaggle have models without a network.
    in_notebook = "KAGGLE_KERNEL_RUN_TYPE" in os.environ
    if not in_notebook and not network.is_reachable(_SERVER):
        return _cached(name, version, filename)
    requests = extras.load("requests", *_NEEDED).exceptions
    try:
        return pathlib.Path(library.model_download(versioned, path=filename))
    except (requests.ConnectionError, requests.Timeout) as error:
        return _cached(name, version, filename, error)
    except Exception as error:
        if isinstance(error, OSError) and not hasattr(error, "response"):
            raise  # of the disk
        raise ValueError(
            "Kaggle has no such file, or asks to log in with "
            "`kagglehub.login()` before it shows it. Received: "
            f"model={versioned!r}, filename={filename!r} "
            f"({network.first_line(error)})"
        ) from error


def _cached(name, version, filename, error=None):
    """The path of a file in the cache of kagglehub, without network."""
    cache = extras.load("kagglehub.cache", *_NEEDED)
    handles = extras.load("kagglehub.handle", *_NEEDED)
    handle = handles.parse_model_handle(name)
    folder = pathlib.Path(cache.get_cached_path(handle.with_version(1))).parent
    versions = [version]
    if version is None:
        names = [path.name for path in folder.glob("*")]
        versions = sorted((int(n) for n in names if n.isdigit()), reverse=True)
    for each in versions:
        versioned = handle.with_version(each)
        path = cache.Cache().load_from_cache(versioned, filename)
        if path is None:  # downloaded as a whole, perhaps
            whole = cache.Cache().load_from_cache(versioned)
            path = whole and os.path.join(whole, filename)
        if path is not None and os.path.isfile(path):
            return pathlib.Path(path)
    raise ConnectionError(
        f"`{filename}` of the Kaggle model {name!r} is not in the cache "
        f"{str(folder)!r}, and {_SERVER} could not be reached. Where there is "
        f"network, run `kagglehub.model_download({name!r})`, and copy the "
        "folder that it names to the same path here."
    ) from error
