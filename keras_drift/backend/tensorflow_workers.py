"""The processes of `tf.distribute.MultiWorkerMirroredStrategy`."""

import json
import os

import tensorflow as tf

# A process is joined to others once, by one strategy.
_joined = []


def join():
    """Joins the processes that `TF_CONFIG` names, if there are several."""
    text = os.environ.get("TF_CONFIG") or "{}"
    try:
        cluster = json.loads(text).get("cluster") or {}
        count = sum(len(cluster.get(name, ())) for name in ("chief", "worker"))
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            "TF_CONFIG is JSON that describes a cluster. Unset it to train in "
            f"one process. Received: TF_CONFIG={text!r}"
        ) from error
    if count <= 1 or _joined:
        return
    try:
        remember(tf.distribute.MultiWorkerMirroredStrategy())
    except RuntimeError as error:
        raise RuntimeError(
            "TensorFlow joins processes before it computes anything: call "
            "`keras_drift.distribution.initialize()` first in the script. "
            f"Received: {error}"
        ) from error


def remember(strategy):
    """Takes the strategy of a model for that of the process."""
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        _joined[:] = [strategy]


def strategy():
    """The strategy that has joined this process to others, or `None`."""
    return _joined[0] if num_processes() > 1 else None


def num_processes():
    """The number of processes."""
    if not _joined:
        return 1
    devices = _joined[0].extended.worker_devices
    return _joined[0].num_replicas_in_sync // len(devices)


def process_index():
    """The index of this process; the first one writes files."""
    if num_processes() == 1:
        return 0
    resolver = _joined[0].cluster_resolver
    has_chief = "chief" in resolver.cluster_spec().jobs
    return resolver.task_id + (has_chief and resolver.task_type != "chief")


def of_all_processes(number):
    """Lists an int of each process, in the order of their indices."""
    if num_processes() == 1:
        return [number]
    found = _of_replicas(tf.constant([number], "int64")).numpy()
    return found[:: len(_joined[0].extended.worker_devices)].tolist()


def equalize(model):
    """Gives all processes the variables of the first one.

    Args:
        model: a compiled `keras.Model`.
    """
    joined = strategy()
    if joined is None or joined is not model.distribute_strategy:
        return
    optimizer = getattr(model, "optimizer", None)
    for variable in [*model.variables, *getattr(optimizer, "variables", ())]:
        value = tf.convert_to_tensor(variable.value)
        # Collectives know no unsigned integers, those of random generators.
        sent = tf.bitcast(value, "int32") if value.dtype == "uint32" else value

        def of_replica(context, sent=sent):
            is_first = context.replica_id_in_sync_group == 0
            return sent if is_first else tf.zeros_like(sent)

        values = joined.experimental_distribute_values_from_function(of_replica)
        total = joined.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)
        variable.assign(tf.bitcast(total, value.dtype))


def wait_for_all():
    """Waits until every process has called it."""
    of_all_processes(0)


@tf.function
def _of_replicas(number):
    def gathered(number):
        # On a device, for it to be gathered between devices.
        number = tf.identity(number)
        return tf.distribute.get_replica_context().all_gather(number, 0)

    found = _joined[0].run(gathered, (number,))
    return _joined[0].experimental_local_results(found)[0]
