"""Networks on parts of a batch, one after another, rematerialized."""

import math

import keras
from keras import ops

from keras_drift import backend


def in_parts(network, inputs, count, training=None):
    """Applies a network to parts of a batch, one after another.

    Only the inputs and outputs of all parts are kept: the backward pass
    computes the activations of one part at a time again. Results and gradients
    are those of the whole batch.

    Args:
        network: `keras.Model` from a nest of tensors `(n, ...)` to a nest of
            tensors `(n, ...)`. It must compute the same when it is called
            again.
        inputs: nest of tensors `(batch, ...)`.
        count: int >= 1, the number of parts.
        training: bool or `None`, passed to the network where it is given.

    Returns:
        What `network(inputs)` does.

    Raises:
        ValueError: if the parts are not of one size.
    """
    options = {} if training is None else {"training": training}

    def call(part):
        return network(part, **options)

    if count == 1:
        return call(inputs)
    size = keras.tree.flatten(inputs)[0].shape[0]
    if size is not None and size % count:
        raise ValueError(
            "`micro_batches` are equal parts of the generated samples, so it "
            f"must divide their number. Received: micro_batches={count}, "
            f"{size} samples"
        )
    parts = keras.tree.map_structure(lambda x: _split(x, count), inputs)
    results = backend.recomputed_parts(call, parts, network)
    return keras.tree.map_structure(_merge, results)


def common_parts(size, count):
    """The number of parts of data of another size than the samples have."""
    return 1 if size is None else math.gcd(size, count)


# Of these, each call changes variables.
_STATEFUL = (
    keras.layers.BatchNormalization,
    keras.layers.SpectralNormalization,
)


def check(model):
    """Raises an error if the generator of a model cannot be recomputed."""
    if model.micro_batches == 1:
        return
    layers = model.generator._flatten_layers()
    refused = [
        layer.name
        for layer in layers
        if isinstance(layer, _STATEFUL)
        or getattr(layer, "activity_regularizer", None) is not None
        or getattr(layer, "_seed_generators", ())
    ]
    if refused:
        raise ValueError(
            "With `micro_batches` the generator runs on a part of the batch at "
            "a time, and again in the backward pass, so it can have neither "
            "layers that draw random numbers, such as `Dropout`, nor "
            "`BatchNormalization`, `SpectralNormalization` or an "
            "`activity_regularizer`. "
            f"Received: micro_batches={model.micro_batches}, layers {refused}"
        )


def _split(x, count):
    """`(batch, ...)` as `(count, batch / count, ...)`."""
    shape = [-1 if s is None else s for s in x.shape[1:]]
    if backend.num_devices() == 1:
        return ops.reshape(x, (count, -1, *shape))
    # Every part has samples of all devices that the batch is distributed over.
    return ops.moveaxis(ops.reshape(x, (-1, count, *shape)), 1, 0)


def _merge(x):
    """The inverse of `_split`."""
    x = x if backend.num_devices() == 1 else ops.moveaxis(x, 0, 1)
    shape = [-1 if s is None else s for s in x.shape[2:]]
    return ops.reshape(x, (-1, *shape))
