"""Digests of what a result depends on."""

import hashlib

import numpy as np

from keras_drift import backend


def of_arrays(arrays):
    """The digest of the types, shapes and values of arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.view("uint8") if array.size else b"")
    return digest.hexdigest()


def of_file(path):
    """The digest of the bytes of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_files(paths, names):
    """The digest of the names and bytes of several files."""
    digest = hashlib.sha256()
    for path, name in zip(paths, names, strict=True):
        digest.update(f"{name}\0{of_file(path)}\0".encode())
    return digest.hexdigest()


def of_text(text):
    """The digest of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def of_model(model):
    """The digest of the weights that samples of a `DriftModel` depend on."""
    parts = [model.generator]
    if model.autoencoder is not None:
        parts.append(model.autoencoder)
    backend.sync(model)
    return of_arrays(
        backend.host_value(weight) for part in parts for weight in part.weights
    )
