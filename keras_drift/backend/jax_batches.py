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

_PROCESSES = "processes of a batch"  # an axis of a mesh


def gives_shares():
    """Whether this process gives a share of each batch."""
    return jax.process_count() > 1


def of_all_processes(number):
    """The values of a number in all processes, see `keras_drift.backend`."""
    if not gives_shares():
        return [number]
    return multihost_utils.process_allgather(np.int32(number)).tolist()


@contextlib.contextmanager
def divisible_layouts(has_classes):
    """While it is open, batches that devices do not divide are not refused.

    Keras cuts the first axis of every array of a batch. Where devices do not
    divide it, the second axis of a single group is cut, and where they do not
    divide that either, every device gets the whole array.

    In a run of several processes, each gives its share of a batch. Where its
    devices do not divide that, each device of a process gets the whole share.

    Args:
        has_classes: bool, whether the groups of a batch have classes. A lone
            group without a class is a share of the one group of all processes.
    """
    distribution = keras.distribution.distribution()
    if distribution is None:
        yield  # nothing is cut
        return
    place = distribution_lib.distribute_data_input
    # That of a surrounding context, which may be of another model.
    outer = vars(distribution).get("get_data_layout")

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
    if outer is None:
        distribution_lib.distribute_data_input = place_any
    try:
        yield
    finally:
        if outer is None:
            del distribution.get_data_layout
            distribution_lib.distribute_data_input = place
        else:
            distribution.get_data_layout = outer


def _sharding(shape, distribution, has_classes):
    """Where the array goes that this process gives."""
    name = distribution.batch_dim_name
    mesh = distribution.device_mesh.backend_mesh
    processes = distribution.num_processes
    devices = max(1, mesh.shape[name] // processes)
    if not shape:
        return NamedSharding(mesh, PartitionSpec())
    in_one_group = shape[0] == 1 and processes > 1 and not has_classes
    if shape[0] % devices == 0 and not in_one_group:
        return NamedSharding(mesh, PartitionSpec(name))
    axis = int(shape[0] == 1 and (processes == 1 or in_one_group))
    if axis == len(shape) and processes > 1:
        raise ValueError(
            "In a run of several processes, each gives samples of a batch of "
            "one group without a class, and no number for the group. "
            f"Received: an array of shape {shape} in process "
            f"{distribution.data_shard_id} of {processes}"
        )
    if axis == 1 and len(shape) > 1 and shape[1] % devices == 0:
        return NamedSharding(mesh, PartitionSpec(None, name))
    if processes > 1:
        mesh = _with_axis_of_processes(mesh, name, processes)
        return NamedSharding(mesh, PartitionSpec(*[None] * axis, _PROCESSES))
    return NamedSharding(mesh, PartitionSpec())


def _with_axis_of_processes(mesh, name, processes):
    """The same devices in the same order, the axis of the batch cut in two."""
    axis = mesh.axis_names.index(name)
    shape, names = [*mesh.devices.shape], [*mesh.axis_names]
    count = shape[axis]
    owner = np.vectorize(lambda device: device.process_index)
    owners = np.moveaxis(owner(mesh.devices), axis, 0).reshape(count, -1)
    of_each = count // processes
    # One process after another, or JAX would take the data of several for one.
    blocks = [{*block.flat} for block in np.array_split(owners, processes)]
    if count % processes or not _disjoint(blocks):
        raise ValueError(
            "Each process gives a share of a batch that its devices do not "
            "divide, so each of them gets the whole share, and the devices of "
            "a process must follow each other along the axis of the batch: "
            "make the mesh of `jax.devices()` in their order, or give groups "
            f"that are a multiple of {of_each}. Received: a mesh of shape "
            f"{dict(mesh.shape)}, in which devices {name!r} belong to the "
            f"processes {owners.tolist()}"
        )
    shape[axis : axis + 1] = [processes, of_each]
    names.insert(axis, _PROCESSES)
    return Mesh(mesh.devices.reshape(shape), names)


def _disjoint(sets):
    return sum(map(len, sets)) == len(set().union(*sets))
