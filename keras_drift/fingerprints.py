"""Checksums that tell whether data or networks are the same as before."""

import hashlib
import json

import keras
import numpy as np

# Read at a time, of arrays that may be larger than memory.
_BLOCK_BYTES = 64 * 1024**2
# What an object is called, or computes with, but not what it computes.
_NOT_COMPARED = ("name", "batch_size", "trainable")


def of_arrays(*arrays):
    """Checksum of the values, shapes and types of NumPy arrays or `None`."""
    digest = hashlib.sha256()
    for array in arrays:
        if array is None:
            digest.update(b"None;")
            continue
        digest.update(f"{array.dtype.str}{array.shape};".encode())
        rows = np.atleast_1d(array)
        step = max(_BLOCK_BYTES // max(rows[:1].nbytes, 1), 1)
        for first in range(0, len(rows), step):
            block = np.ascontiguousarray(rows[first : first + step])
            digest.update(block.ravel().view("uint8").data)
    return digest.hexdigest()


def of_layer(layer):
    """Checksum of the class, the configuration and the weights of a layer.

    The same on every backend. Names and batch sizes do not count.
    """
    config = {
        key: value
        for key, value in layer.get_config().items()
        if key not in _NOT_COMPARED
    }
    # Keras may describe a policy in another way in another version.
    config["dtype"] = layer.dtype_policy.name
    # Not their `repr`, which may be an address in memory.
    text = json.dumps(config, sort_keys=True, default=lambda o: str(type(o)))
    digest = hashlib.sha256(f"{type(layer).__name__};{text};".encode())
    for variable in layer.variables:
        value = keras.ops.convert_to_numpy(variable)
        digest.update(of_arrays(value).encode())
    return digest.hexdigest()


def of_file(path):
    """Checksum of the bytes of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_files(paths, names):
    """Checksum of the names and bytes of several files."""
    digest = hashlib.sha256()
    for path, name in zip(paths, names, strict=True):
        digest.update(f"{name}\0{of_file(path)}\0".encode())
    return digest.hexdigest()


def of_text(text):
    """Checksum of a text."""
    return hashlib.sha256(text.encode()).hexdigest()
