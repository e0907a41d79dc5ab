"""TensorFlow: a step changes variables in place."""

import keras
import tensorflow as tf

from keras_drift.backend import tensorflow_replicas
from keras_drift.backend import tensorflow_workers
from keras_drift.backend.in_place import divisible_layouts
from keras_drift.backend.in_place import keeps_weights
from keras_drift.backend.in_place import spread
from keras_drift.backend.in_place import step
from keras_drift.backend.in_place import sync
from keras_drift.backend.tensorflow_data import without_autotuning
from keras_drift.backend.tensorflow_recompute import RecomputedParts
from keras_drift.backend.tensorflow_replicas import data_parallel
from keras_drift.backend.tensorflow_workers import num_processes
from keras_drift.backend.tensorflow_workers import process_index

__all__ = [
    "COMPILES",
    "SERVES_ANY_SHAPE",
    "TrainerGuard",
    "build_optimizer",
    "compiled",
    "data_parallel",
    "divisible_layouts",
    "gradient",
    "has_accelerator",
    "host_value",
    "jit",
    "keeps_weights",
    "matmul",
    "num_processes",
    "process_index",
    "recomputed_parts",
    "run",
    "scan",
    "spread",
    "step",
    "step_result",
    "sync",
    "unless",
    "with_known_sizes",
    "without_autotuning",
    "zero_after",
]

# Whether a step is a program, which takes time to compile.
COMPILES = True
# Whether a compiled step takes batches of several shapes: `tf.function` takes
# them for one of unknown sizes, or of unknown rank.
SERVES_ANY_SHAPE = False


class TrainerGuard:
    """Mixin of models whose training step is traced once."""

    def make_train_function(self, force=False):
        """Compiles the training step, once the optimizer has its variables."""
        # Made while the step is traced, they would make `tf.function` trace it
        # a second time.
        if self.optimizer is not None:
            build_optimizer(self)
        return super().make_train_function(force)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Builds nothing, as without a strategy.

        Keras would read a batch, which a stream does not give again, and
        average those of all processes, which fails.
        """


def build_optimizer(model):
    """Makes the variables of the optimizer where those of the model are."""
    if not model.optimizer.built:
        with model.distribute_strategy.scope():
            model.optimizer.build(model.trainable_variables)


def with_known_sizes(x, shape):
    """A tensor whose unknown sizes are those of its share of a batch."""
    count = tensorflow_replicas.num_replicas()
    first, *rest = shape
    if first is not None:
        first = None if first % count else first // count
    sizes = zip(x.shape, (first, *rest), strict=True)
    return tf.ensure_shape(x, [b if a is None else a for a, b in sizes])


def run(model, state, function, *args):
    """Calls `function(*args)`: returns `(result, state)`."""
    del model  # its variables are where the function looks for them
    return function(*args), state


def step_result(logs, state):
    """What Keras expects a step to return."""
    del state  # there is none
    alone = tensorflow_replicas.num_replicas() == 1
    if alone or tensorflow_workers.num_processes() == 1:
        return logs
    # Keras averages those of several processes along their first axis.
    return keras.tree.map_structure(lambda x: tf.reshape(x, (1,)), logs)


def skipped_step(args, num_batches):
    """Reads batches without a step, see `keras_drift.backend`."""
    (iterator,) = args
    for _ in range(num_batches):
        next(iterator)
    return {}


def scan(function, carry, xs, recompute=False, static_first=True):
    """A loop over the first axis, see `keras_drift.backend`."""
    # `tf.recompute_grad` drops the gradients of what a function encloses.
    del recompute
    flat = keras.tree.flatten(xs)
    length = flat[0].shape[0]

    def at(i):
        return keras.tree.pack_sequence_as(xs, [x[i] for x in flat])

    # The first iteration, outside of the loop, has the structure of the others.
    is_apart = static_first or length == 1 or tf.executing_eagerly()
    if is_apart:
        carry, first = function(0, carry, at(0))
    else:
        _, first = _traced(function, carry, at(0))
    if length == 1:
        return carry, keras.tree.map_structure(lambda y: y[None], first)
    arrays = [
        tf.TensorArray(y.dtype, length, element_shape=y.shape)
        for y in keras.tree.flatten(first)
    ]
    start = tf.constant(0)
    if is_apart:
        ys = keras.tree.flatten(first)
        arrays = [a.write(0, y) for a, y in zip(arrays, ys, strict=True)]
        # Else TensorFlow computes the second iteration beside the first one.
        with tf.control_dependencies(ys):
            start = tf.constant(1)

    def body(index, carry, arrays):
        carry, ys = function(index, carry, _in_memory(index, at(index)))
        ys = keras.tree.flatten(ys)
        arrays = [a.write(index, y) for a, y in zip(arrays, ys, strict=True)]
        return index + 1, carry, arrays

    _, carry, arrays = tf.while_loop(
        lambda index, *_: index < length,
        body,
        (start, carry, arrays),
        parallel_iterations=1,
        maximum_iterations=length,
    )
    ys = [array.stack() for array in arrays]
    return carry, keras.tree.pack_sequence_as(first, ys)


def _traced(function, carry, x):
    """The types and shapes of what an iteration returns, without its ops."""
    traced = tf.function(function, autograph=False).get_concrete_function(
        tf.TensorSpec((), tf.int32), carry, x
    )
    return traced.structured_outputs


def recomputed_parts(function, parts, network):
    """A function of parts of a batch, see `keras_drift.backend`."""
    return RecomputedParts(function, network, scan)(parts)


def _in_memory(index, tensors):
    """Copies a loop slice into its own buffer, as on JAX."""
    if has_accelerator() or tf.executing_eagerly():
        return tensors
    return tf.cond(
        index >= 0,
        lambda: tensors,
        lambda: keras.tree.map_structure(tf.zeros_like, tensors),
    )


def zero_after(tensor):
    """A scalar zero that depends on a tensor, see `keras_drift.backend`."""
    if tf.executing_eagerly():
        return 0.0
    some = tf.reduce_sum(tf.reshape(tf.stop_gradient(tensor), (-1,))[:8])
    return 0.0 * tf.cast(tf.math.is_finite(some), "float32")


def unless(done, function, state):
    """Conditional execution, see `keras_drift.backend`."""
    if tensorflow_replicas.num_replicas() > 1:
        return function(state)  # a branch cannot hold collectives
    return tf.cond(done, lambda: state, lambda: function(state))


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


def host_value(variable):
    """The value of a variable as a NumPy array, mirrored ones included."""
    return getattr(variable, "value", variable).numpy()


def jit(function, variables):
    """The function compiled, see `keras_drift.backend`."""
    del variables  # they are where the function looks for them
    call = tf.function(function, autograph=False)
    return lambda *args: call(*map(keras.ops.convert_to_tensor, args))


def matmul(x, y):
    """A product in full float32, see `exact_matmul`."""
    tf32 = tf.config.experimental.tensor_float_32_execution_enabled()
    if not (tf32 and has_accelerator()):
        return tf.matmul(x, y)
    return exact_matmul(x, y)


def exact_matmul(x, y):
    """A float32 product as three of numbers that TF32 holds exactly.

    TF32 keeps 10 bits of a factor, its head. The remainder, the tail, is so
    small that its own rounding does not matter.
    """
    x_head, y_head = _head(x), _head(y)
    return (
        tf.matmul(x_head, y_head)
        + tf.matmul(x_head, y - y_head)
        + tf.matmul(x - x_head, y)
    )


def _head(x):
    bits = tf.bitcast(x, tf.int32)
    return tf.bitcast(tf.bitwise.bitwise_and(bits, -(2**13)), tf.float32)


def gradient(function, x):
    """The gradient of a function, see `keras_drift.backend`."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        value = function(x)
    zero = tf.UnconnectedGradients.ZERO
    return tape.gradient(value, x, unconnected_gradients=zero)


def has_accelerator():
    """Whether tensors live on anything but a CPU."""
    devices = tf.config.list_logical_devices()
    return any(device.device_type != "CPU" for device in devices)
