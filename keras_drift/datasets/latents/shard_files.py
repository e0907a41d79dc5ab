"""Files with checksums, and the manifest that lists them."""

import hashlib
import io
import json
import pathlib

import numpy as np

from keras_drift import fingerprints
from keras_drift.atomic_files import write_bytes

MANIFEST = "manifest.json"


def write_array(path, array):
    """Writes a `.npy` file, whole or not at all.

    Returns:
        The record of the file in a manifest: its name, size and checksum.
    """
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    content = buffer.getbuffer()
    write_bytes(path, content, synced=True)
    return {
        "file": pathlib.Path(path).name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def write_manifest(directory, manifest):
    """Writes the manifest of a directory, whole or not at all."""
    text = json.dumps(manifest, indent=1) + "\n"
    path = pathlib.Path(directory) / MANIFEST
    write_bytes(path, text.encode(), synced=True)


def read_manifest(directory):
    """Reads the manifest of a directory; `None` if there is none."""
    path = pathlib.Path(directory) / MANIFEST
    try:
        manifest = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(
            "The manifest of this directory is damaged, so nothing in it can "
            "be checked. Delete the directory and build it anew. Received: "
            f"{str(path)!r} ({error})"
        ) from error
    return manifest


def damage(directory, record, thorough):
    """What is wrong with a file, in words; `None` if nothing is.

    Args:
        directory: path.
        record: dict, what `write_array` returned.
        thorough: bool, whether to read the file and compare its checksum, or
            only its size.
    """
    path = pathlib.Path(directory) / record["file"]
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return "it does not exist"
    if size != record["bytes"]:
        return f"it has {size} bytes instead of {record['bytes']}"
    if thorough:
        found = fingerprints.of_file(path)
        if found != record["sha256"]:
            return f"its sha256 is {found} instead of {record['sha256']}"
    return None


def refuse_damage(directory, records, thorough=True):
    """Refuses damaged files of a latent cache; names each of them.

    Args:
        directory: path.
        records: list of dicts, what `write_array` returned.
        thorough: bool, see `damage`. Defaults to `True`.

    Raises:
        ValueError: if files are damaged or missing.
    """
    damages = {
        record["file"]: damage(directory, record, thorough)
        for record in records
    }
    damages = [f"{file}: {what}" for file, what in damages.items() if what]
    if damages:
        shown = "; ".join(damages[:10]) + ("; ..." if len(damages) > 10 else "")
        raise ValueError(
            "Files of the latent cache that are damaged or missing: "
            f"{len(damages)}. "
            "`LatentCache.build` with the arguments of before builds these, "
            "and only these, again. "
            f"Received: directory={str(directory)!r}, {shown}"
        )
