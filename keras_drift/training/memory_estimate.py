"""Bytes that a training run holds on one device, apart from activations."""

import math

from keras_drift import array_sizes
from keras_drift import backend


def of_model(model):
    """Counts the variables of a compiled model, on the device with most.

    Args:
        model: a compiled `DriftModel`. Its optimizer is built.

    Returns:
        A dict from what is held to bytes.
    """
    backend.build_optimizer(model)
    averages = _averages(model.optimizer)
    parts = [model.generator.variables, model.encoder.variables]
    named = {id(v) for variables in parts for v in variables}
    others = [v for v in model.variables if id(v) not in named]
    others += getattr(model.autoencoder, "variables", [])
    return {
        "generator": _total(parts[0]),
        "encoder": _total(parts[1]),
        "other weights": _total(others),
        "gradients": _total(model.trainable_variables),
        "optimizer": _total(model.optimizer.variables) - _total(averages),
        "averages": _total(averages),
    }


def of_samples(shapes, num_shares):
    """Counts float32 samples.

    Args:
        shapes: list of tuples, the shapes of whole arrays.
        num_shares: list of ints, the devices that each is divided over.

    Returns:
        int, the bytes on one device.
    """
    return sum(
        math.ceil(4 * math.prod(shape) / count)
        for shape, count in zip(shapes, num_shares, strict=True)
    )


def _averages(optimizer):
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    return [
        average
        for each in getattr(optimizer, "optimizers", [optimizer])
        if each.use_ema
        for average in each._model_variables_moving_average
    ]


def _total(variables):
    return sum(
        array_sizes.num_bytes(backend.shape_on_device(v), v.dtype)
        for v in variables
    )
