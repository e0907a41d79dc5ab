"""TensorFlow: a step changes variables in place."""

import keras
import tensorflow as tf

from keras_drift.backend.in_place import step
from keras_drift.backend.in_place import step_result

__all__ = [
    "compiled",
    "has_accelerator",
    "matmul",
    "run",
    "scan",
    "step",
    "step_result",
]


def run(model, state, function, *args):
    """Calls `function(*args)`: returns `(result, state)`."""
    del model  # its variables are where the function looks for them
    return function(*args), state


def scan(function, carry, xs):
    """A loop over the first axis, see `keras_drift.backend`."""
    flat = keras.tree.flatten(xs)
    length = flat[0].shape[0]

    def at(i):
        return keras.tree.pack_sequence_as(xs, [x[i] for x in flat])

    # The first turn, outside of the loop, shows what the others will return.
    carry, first = function(carry, at(0))
    arrays = [
        tf.TensorArray(y.dtype, length, element_shape=y.shape).write(0, y)
        for y in keras.tree.flatten(first)
    ]

    def body(i, carry, arrays):
        carry, ys = function(carry, at(i))
        ys = keras.tree.flatten(ys)
        arrays = [a.write(i, y) for a, y in zip(arrays, ys, strict=True)]
        return i + 1, carry, arrays

    _, carry, arrays = tf.while_loop(
        lambda i, *_: i < length,
        body,
        (1, carry, arrays),
        parallel_iterations=1,
        maximum_iterations=length - 1,
    )
    ys = [array.stack() for array in arrays]
    return carry, keras.tree.pack_sequence_as(first, ys)


def compiled(network):
    """The network as a compiled function, see `keras_drift.backend`."""
    # One program for batches of any size.
    signature = keras.tree.map_structure(
        lambda x: tf.TensorSpec((None, *x.shape[1:]), x.dtype), network.input
    )
    return tf.function(
        lambda inputs: network(inputs, training=False),
        input_signature=[signature],
    )


def matmul(x, y):
    """A product; TensorFlow sets its precision for the whole program."""
    return tf.matmul(x, y)


def has_accelerator():
    """Whether tensors live on anything but a CPU."""
    return bool(tf.config.list_logical_devices("GPU"))
