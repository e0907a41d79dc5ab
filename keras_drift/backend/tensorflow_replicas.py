"""Replicas of `tf.distribute`: each runs the step on its share of a batch."""

import contextlib

import keras
import tensorflow as tf

from keras_drift.backend import lone_processes
from keras_drift.backend import tensorflow_workers
from keras_drift.backend.one_replica import averaged_gradients
from keras_drift.backend.tensorflow_workers import equalize
from keras_drift.backend.tensorflow_workers import of_all_processes
from keras_drift.backend.tensorflow_workers import wait_for_all

__all__ = [
    "RECEIVES_SHARES",
    "all_gather",
    "all_mean",
    "averaged_gradients",
    "check_placement",
    "check_shares",
    "data_parallel",
    "equalize",
    "join_processes",
    "num_available_devices",
    "num_replicas",
    "of_all_processes",
    "replica_index",
    "replicas_of",
    "share",
    "share_of_loss",
    "wait_for_all",
]

# Keras divides the first axis of every batch.
RECEIVES_SHARES = True


def replicas_of(model):
    """The number of replicas that train a model."""
    return model.distribute_strategy.num_replicas_in_sync


def join_processes(timeout, end_together=False):
    """Joins the processes of `TF_CONFIG`, before TensorFlow is used."""
    del timeout, end_together
    lone_processes.refuse_torchrun()
    tensorflow_workers.join()


def data_parallel():
    """The scope of a strategy for all GPUs, see `keras_drift.backend`."""
    if tf.distribute.has_strategy() or num_available_devices() == 1:
        return contextlib.nullcontext()
    joined = tensorflow_workers.strategy()
    return (joined or tf.distribute.MirroredStrategy()).scope()


def num_available_devices():
    """The devices of a run, see `keras_drift.backend`."""
    joined = tensorflow_workers.strategy()
    if joined is not None:
        return joined.num_replicas_in_sync
    return max(1, len(tf.config.list_logical_devices("GPU")))


def check_placement(model):
    """Refuses variables made outside of the scope of the strategy."""
    strategy = model.distribute_strategy
    tensorflow_workers.remember(strategy)
    if tensorflow_workers.strategy() not in (None, strategy):
        lone_processes.warn()
    if strategy.num_replicas_in_sync == 1:
        return
    for variable in model.trainable_variables:
        # Variables that are made outside of all scopes know of none.
        made_by = getattr(variable.value, "distribute_strategy", None)
        if made_by is not strategy:
            raise ValueError(
                "A strategy places variables when they are made: make "
                "generator, encoder and model, and compile it, inside of "
                f"`with strategy.scope():`. Received: {variable.path!r}, made "
                f"outside of that of `{type(strategy).__name__}` with "
                f"{strategy.num_replicas_in_sync} replicas"
            )


def num_replicas():
    """The number of replicas of the step that is running."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def replica_index():
    """The index of this replica, an int or a scalar tensor."""
    context = tf.distribute.get_replica_context()
    return 0 if context is None else context.replica_id_in_sync_group


def all_mean(x):
    """The mean of a tensor over the replicas, without gradients."""
    if num_replicas() == 1:
        return x
    context = tf.distribute.get_replica_context()
    mean = tf.distribute.ReduceOp.MEAN
    return context.all_reduce(mean, tf.stop_gradient(x))


def all_gather(x, axis):
    """The tensors of all replicas, one after another, without gradients."""
    count = num_replicas()
    if count == 1:
        return x
    context = tf.distribute.get_replica_context()
    gathered = context.all_gather(tf.stop_gradient(x), axis)
    shape = x.shape.as_list()
    if shape[axis] is not None:  # shares are equal, see `check_shares`
        shape[axis] *= count
    return tf.ensure_shape(gathered, shape)


def share(x, axis):
    """The part of this replica of a tensor that all replicas hold."""
    count = num_replicas()
    if count == 1:
        return x
    static, sizes = x.shape.as_list(), tf.unstack(tf.shape(x))
    sizes[axis] = sizes[axis] // count
    start = [0] * len(sizes)
    start[axis] = tf.cast(replica_index(), "int32") * sizes[axis]
    if static[axis] is not None:
        static[axis] //= count
    return tf.ensure_shape(tf.slice(x, start, sizes), static)


def check_shares(size):
    """Refuses shares of different sizes, which have no common mean.

    Args:
        size: int or int scalar tensor, the size of the share of this replica.
    """
    if num_replicas() == 1:
        return
    sizes = all_gather(tf.reshape(tf.cast(size, "int32"), (1,)), 0)
    # `tf.function` runs it although nothing reads it.
    tf.debugging.assert_equal(
        sizes,
        sizes[0],
        "Every replica needs as many groups, or samples of one group, as all "
        "others: their number must be a multiple of the number of replicas in "
        "every batch. Received: shares of sizes",
    )


def share_of_loss(loss):
    """What the loss of a replica adds to that of the batch.

    The optimizer adds the gradients of all replicas.
    """
    strategy = tf.distribute.get_strategy()
    return loss / keras.ops.cast(strategy.num_replicas_in_sync, loss.dtype)
