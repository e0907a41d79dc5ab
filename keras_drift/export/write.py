"""Writes a network as an artifact of another runtime."""

import importlib
import os
import pathlib
import tempfile
import warnings

import keras

from keras_drift import atomic_files
from keras_drift import backend
from keras_drift import checks
from keras_drift.export import formats
from keras_drift.export import onnx_file

_OLDEST_OPSET = 13
_SAVED_MODEL = {"assets", "fingerprint.pb", "saved_model.pb", "variables"}


def write(network, filepath, format=None, verbose=True, **kwargs):
    """Writes a network as an artifact of another runtime.

    What was there is replaced once the new one is complete. Weights that lie in
    a file beside it, as of OpenVINO, are replaced just before.

    Args:
        network: functional `keras.Model` of a dict of inputs.
        filepath: path of the artifact.
        format: str, or `None`: that which the ending of the path names.
            Defaults to `None`.
        verbose: bool, whether to print what was written. Defaults to `True`.
        **kwargs: options of the format.
    """
    path, format = formats.resolve(filepath, format)
    if format == "tf_saved_model":
        path = path.resolve()  # a link to a folder stays one
    _check_options(format, kwargs)
    formats.check_precision(network, format)
    atomic_files.require_writable(
        path.parent, "artifact", f"filepath={str(path)!r}"
    )
    _check_target(path, format)
    network(network.input)  # some formats of Keras refuse models never called
    writer = _WRITERS.get(format, _write_by_keras)
    with tempfile.TemporaryDirectory(
        prefix=f".{path.name}.", dir=path.parent
    ) as folder:
        unfinished = pathlib.Path(folder) / path.name
        writer(network, unfinished, format, **kwargs)
        _publish(unfinished, path)
    if verbose or verbose is None:
        print(_summary(network, format, path))


def _write_by_keras(network, path, format, **kwargs):
    options = {**backend.export_options(network), **kwargs}
    keras.Model.export(network, str(path), format, verbose=False, **options)


def _write_onnx(network, path, format, opset_version=None):
    del format
    with tempfile.TemporaryDirectory() as folder:
        raw = os.path.join(folder, "raw.onnx")
        with warnings.catch_warnings():
            # Of the packages that convert, about themselves.
            warnings.simplefilter("ignore")
            backend.export_onnx(network, raw, opset_version)
        onnx_file.tidy(raw, path, network, opset_version)


def _write_openvino(network, path, format, opset_version=None):
    """By ONNX, which every backend writes and OpenVINO reads."""
    openvino = importlib.import_module("openvino")
    with tempfile.TemporaryDirectory() as folder:
        onnx = pathlib.Path(folder) / "network.onnx"
        _write_onnx(network, onnx, format, opset_version)
        model = openvino.convert_model(onnx)
    # Weights in float16 would be another network.
    openvino.save_model(model, path, compress_to_fp16=False)


_WRITERS = {"onnx": _write_onnx, "openvino": _write_openvino}


def _publish(unfinished, path):
    """Moves an artifact to its path, after the files of weights beside it."""
    files = sorted(unfinished.parent.iterdir(), key=unfinished.__eq__)
    for file in files:
        if file.is_dir():
            atomic_files.move_folder(file, path)
        else:
            os.replace(file, path.with_name(file.name))


def _check_target(path, format):
    if format == "tf_saved_model":
        replaceable = path.is_dir() and all(
            file.name in _SAVED_MODEL for file in path.iterdir()
        )
    else:
        replaceable = path.is_file()
    if path.exists() and not replaceable:
        raise ValueError(
            "An artifact replaces one of its format, but this path holds "
            "something else. Choose another. "
            f"Received: filepath={str(path)!r}, format={format!r}"
        )
    for companion in formats.companions(path, format):
        if companion.exists() and not path.exists():
            raise ValueError(
                f"The weights would be written to {companion.name!r} beside "
                "the artifact, which is another file. Choose another path. "
                f"Received: filepath={str(path)!r}, format={format!r}"
            )


def _check_options(format, options):
    """Refuses options of ONNX that converters would ignore, or misread."""
    if format not in _WRITERS:
        return  # Keras checks them
    unknown = sorted(set(options) - {"opset_version"})
    if unknown:
        raise TypeError(
            f"The only option of this format is `opset_version`. Received: "
            f"{', '.join(unknown)}, format={format!r}"
        )
    version = options.get("opset_version")
    if version is None:
        return
    checks.positive_integer("opset_version", version)
    latest = importlib.import_module("onnx").defs.onnx_opset_version()
    if not _OLDEST_OPSET <= version <= latest:
        raise ValueError(
            f"Versions of ONNX from {_OLDEST_OPSET} to {latest} can be "
            f"written. Received: opset_version={version}"
        )


def _summary(network, format, path):
    takes = ", ".join(
        f"{name} {_shape(x)} {keras.backend.standardize_dtype(x.dtype)}"
        for name, x in network.input.items()
    )
    return (
        f"Exported as {format!r}: {path}\n  takes {takes}\n"
        f"  returns samples {_shape(network.output)} float32"
    )


def _shape(x):
    return f"({', '.join(map(str, ('batch', *x.shape[1:])))})"
