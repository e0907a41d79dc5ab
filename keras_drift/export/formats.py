"""Formats of exported networks: their file names, and who can write them."""

import pathlib

import keras

from keras_drift import checks
from keras_drift import extras
from keras_drift.backend.export_formats import PACKAGES
from keras_drift.backend.export_formats import WITHOUT_INT8

_IN_FLOAT32 = ("onnx", "openvino", "litert")
# How the path of an artifact ends; a SavedModel is a folder.
ENDINGS = {
    "tf_saved_model": "",
    "onnx": ".onnx",
    "openvino": ".xml",
    "litert": ".tflite",
    "torch": ".pt2",
}


def resolve(filepath, format):
    """Checks where to export to, and in which format.

    Args:
        filepath: path of the artifact.
        format: str or `None`, that which the ending of the path names.

    Returns:
        The path, absolute, and the format: one that the running backend can
        write with the packages that are installed.
    """
    path = pathlib.Path(filepath).expanduser().absolute()
    if format is None:
        format = _format_of(path)
    else:
        checks.choice("format", format, ENDINGS)
        _check_ending(path, format)
    formats = PACKAGES[keras.backend.backend()]
    if format not in formats:
        raise ValueError(_unavailable(format))
    for package in formats[format]:
        extra = f"export-{keras.backend.backend()}"
        if package in PACKAGES:  # another backend
            extra = package
        extras.load(package, f"Exports with format={format!r}", package, extra)
    return path, format


def companions(path, format):
    """The files of weights that a runtime looks for beside an artifact."""
    if format == "openvino":
        return [path.with_suffix(".bin")]
    if format == "onnx":  # if they are large
        return [path.with_name(f"{path.name}.data")]
    return []


def check_precision(network, format):
    """Refuses networks whose layers the format cannot represent."""
    for layer in network._flatten_layers(include_self=False):
        dtype = keras.backend.standardize_dtype(layer.compute_dtype)
        if format in _IN_FLOAT32 and dtype != "float32":
            raise ValueError(
                "Networks are exported to this format in float32. Load the "
                "model again, from its preset, under "
                '`keras.config.set_dtype_policy("float32")`. Received: '
                f"format={format!r}, a layer {layer.name!r} that computes in "
                f"{dtype}"
            )
        if layer.quantization_mode and format in WITHOUT_INT8.get(
            keras.backend.backend(), ()
        ):
            raise ValueError(
                "Quantized networks cannot be written in this format on the "
                f"backend {keras.backend.backend()!r}. Export to ONNX with "
                f"KERAS_BACKEND={_able('onnx', int8=True)}, or without "
                "quantization. "
                f"Received: format={format!r}, a layer {layer.name!r} in "
                f"{layer.quantization_mode}"
            )


def _format_of(path):
    for format, ending in ENDINGS.items():
        if path.suffix == ending:
            return format
    known = ", ".join(f"{end!r}" for end in ENDINGS.values() if end)
    raise ValueError(
        "The ending of the path names the format of an exported network: "
        f"{known}, or none for a SavedModel. Change it, or give `format`. "
        f"Received: filepath={str(path)!r}"
    )


def _check_ending(path, format):
    ending = ENDINGS[format]
    if ending and path.suffix != ending:
        raise ValueError(
            f"The path of an artifact of this format ends in {ending!r}. "
            f"Received: filepath={str(path)!r}, format={format!r}"
        )


def _unavailable(format):
    running = keras.backend.backend()
    here = ", ".join(
        f"{name!r} ({ENDINGS[name] or 'a folder'})"
        for name in PACKAGES[running]
    )
    return (
        f"This format cannot be written on the backend {running!r}, which "
        f"writes {here}. Or save the model and load it where KERAS_BACKEND="
        f"{_able(format)}. Received: format={format!r}"
    )


def _able(format, int8=False):
    """The backends that write a format, in words."""
    return " or ".join(
        name
        for name, formats in PACKAGES.items()
        if format in formats
        and not (int8 and format in WITHOUT_INT8.get(name, ()))
    )
