"""JAX: where the batches of a data source are placed."""

import contextlib
import types

import jax
import keras
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec
from keras.src.backend.jax import distribution_lib


def gives_shares():
    """Whether this process gives a share of each batch."""
    return jax.process_count() > 1


def of_all_processes(number):
    """The values of a number in all processes, see `keras_drift.backend`."""
    if not gives_shares():
        return [number]
    return multihost_utils.process_allgather(np.int32(number)).tolist()


@contextlib.contextmanager
def divisible_layouts(model):
    """While it is open, batches that devices do not divide are not refused.

    Keras cuts the first axis of every array of a batch. Where devices do not
    divide it, the second axis of a single group is cut, and where they do not
    divide that either, every device gets the whole array.

    In a run of several processes, each gives its share of a batch. Where its
    devices do not divide its groups, each of them gets all of these.

    Args:
        model: the `DriftModel`.
    """
    has_classes = model.generator.num_classes is not None
    distribution = keras.distribution.distribution()
    if distribution is None or "get_data_layout" in vars(distribution):
        yield  # nothing is cut, or a surrounding context does it already
        return
    place = distribution_lib.distribute_data_input

    def layout(shape):
        # Of a `TensorLayout`, Keras reads this alone.
        sharding = _sharding(tuple(shape), distribution, has_classes)
        return types.SimpleNamespace(backend_layout=sharding)

    def place_any(batch, layout, batch_dim_name):
        # Keras 3.15 asks for the layouts of the first batch only, and the last
        # one may be smaller.
        del layout
        layout = distribution.get_data_layout(batch.shape)
        return place(batch, layout.backend_layout, batch_dim_name)

    distribution.get_data_layout = layout
    distribution_lib.distribute_data_input = place_any
    try:
        yield
    finally:
        del distribution.get_data_layout
        distribution_lib.distribute_data_input = place


def _sharding(shape, distribution, has_classes):
    """Where an array goes of which this process gives a share."""
    name = distribution.batch_dim_name
    mesh = distribution.device_mesh.backend_mesh
    processes = distribution.num_processes
    devices = max(1, mesh.shape[name] // processes)
    if not shape:
        return NamedSharding(mesh, PartitionSpec())
    # A lone group without a class is a share of the group of all processes.
    is_share = shape[0] == 1 and processes > 1 and not has_classes
    if shape[0] % devices == 0 and not is_share:
        return NamedSharding(mesh, PartitionSpec(name))
    if processes > 1 and not is_share:
        mesh = _with_axis_of_processes(mesh, name, processes)
        return NamedSharding(mesh, PartitionSpec("processes"))
    if shape[0] == 1 and len(shape) > 1 and shape[1] % devices == 0:
        return NamedSharding(mesh, PartitionSpec(None, name))
    if is_share:
        raise ValueError(
            "In a run of several processes, each gives its share of a batch: "
            "groups, or samples of one group, which its "
            f"{devices} devices must divide. Received: an array of shape "
            f"{shape} in process {distribution.data_shard_id} of {processes}"
        )
    return NamedSharding(mesh, PartitionSpec())


def _with_axis_of_processes(mesh, name, processes):
    """The same devices in the same order, the axis of the batch cut in two."""
    axis = mesh.axis_names.index(name)
    shape, names = [*mesh.devices.shape], [*mesh.axis_names]
    shape[axis : axis + 1] = [processes, shape[axis] // processes]
    names.insert(axis, "processes")
    return Mesh(mesh.devices.reshape(shape), names)
