"""PyTorch: networks as programs of other runtimes."""

import contextlib
import logging

import keras
import torch

# Says of every operator of torchvision that it is not installed.
_REGISTRATION = "torch.onnx._internal.exporter._registration"


def export_options(network):
    """Options of `keras.Model.export`, see `keras_drift.backend`."""
    # PyTorch would export a program for batches of one otherwise.
    return {"dynamic_shapes": _free_batch(network)}


def export_onnx(network, path, opset_version=None):
    """Writes an ONNX file, see `keras_drift.backend`.

    By `torch.export`: what Keras calls, the older exporter, cannot write RMS
    normalization.
    """
    # Batches of two: PyTorch takes an axis of length one for fixed.
    inputs = {
        key: keras.ops.zeros((2, *x.shape[1:]), x.dtype)
        for key, x in network.input.items()
    }
    with _quiet():
        program = torch.export.export(
            network,
            (inputs,),
            dynamic_shapes=((_free_batch(network),),),  # of `*args`
            strict=False,
        )
        torch.onnx.export(
            program,
            (),
            path,
            opset_version=opset_version,
            dynamo=True,
            verbose=False,
        )


def _free_batch(network):
    return {key: {0: torch.export.Dim.DYNAMIC} for key in network.input}


@contextlib.contextmanager
def _quiet():
    """Without what PyTorch logs of packages that are not installed."""
    logger = logging.getLogger(_REGISTRATION)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
