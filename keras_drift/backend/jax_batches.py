"""JAX: where the batches of a data source are placed."""

import contextlib

import jax
import keras
import numpy as np
from jax.experimental import multihost_utils
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
def divisible_layouts():
    """While it is open, batches that devices do not divide are not refused.

    Keras cuts the first axis of every array of a batch. Where it does not
    divide, the second axis of a single group is cut, and where that does not
    either, every device gets the whole array.

    In a run of several processes, each gives its share of a batch, of which
    there is no whole array: one that its devices do not divide is refused.
    """
    distribution = keras.distribution.distribution()
    if distribution is None or "get_data_layout" in vars(distribution):
        yield  # nothing is cut, or a surrounding context does it already
        return
    place = distribution_lib.distribute_data_input

    def layout(shape):
        axes = _axes(tuple(shape), distribution)
        return keras.distribution.TensorLayout(axes, distribution.device_mesh)

    def place_any(batch, layout, batch_dim_name):
        # Keras 3.15 asks for the layouts of the first batch only, and the last
        # one may be smaller.
        del layout
        layout = distribution.get_data_layout(batch.shape)
        return place(batch, layout, batch_dim_name)

    distribution.get_data_layout = layout
    distribution_lib.distribute_data_input = place_any
    try:
        yield
    finally:
        del distribution.get_data_layout
        distribution_lib.distribute_data_input = place


def _axes(shape, distribution):
    """The axis of the mesh, or `None`, for each axis of an array."""
    mesh, name = distribution.device_mesh, distribution.batch_dim_name
    size = mesh.shape[mesh.axis_names.index(name)]
    processes = distribution.num_processes
    devices = max(1, size // processes)
    axes = [None] * len(shape)
    one_group = shape[:1] == (1,)
    # A group of a process is a share of the group of all of them.
    if shape and shape[0] % devices == 0 and not (one_group and processes > 1):
        axes[0] = name
    elif one_group and len(shape) > 1 and shape[1] % devices == 0:
        axes[1] = name
    elif processes > 1 and shape:
        raise ValueError(
            "In a run of several processes each gives its share of a batch, "
            f"which its {devices} devices must divide: by groups, or by the "
            "samples of one group without a class, since groups of different "
            "classes are not one. Received: an array of shape "
            f"{shape} in process {distribution.data_shard_id} of {processes}"
        )
    return axes
