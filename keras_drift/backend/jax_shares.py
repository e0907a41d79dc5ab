"""JAX: the shares of a tensor that the devices of a distribution hold.

XLA partitions a program by itself, except for loops: along a loop over a
spread axis it gathers what it cuts. `in_shares` runs a function, loops
included, on the share of each device.
"""

import contextlib
import functools

import jax
import jax.numpy as jnp
import keras
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec

from keras_drift.backend import lone_processes


def data_parallel():
    """A context that spreads batches, see `keras_drift.backend`."""
    is_set = keras.distribution.distribution() is not None
    if is_set or jax.device_count() == 1:
        return contextlib.nullcontext()
    # The batches of a process are its share already.
    return keras.distribution.DataParallel(auto_shard_dataset=False).scope()


def num_devices():
    """The devices that batches are spread over, see `keras_drift.backend`."""
    if keras.distribution.distribution() is None:
        return 1
    mesh, name = _mesh_and_axis()
    return mesh.shape[name]


def num_available_devices():
    """The devices of all processes, see `keras_drift.backend`."""
    return jax.device_count()


def shape_on_device(variable):
    """The shape of a part of a variable, see `keras_drift.backend`."""
    value = variable.value
    return tuple(value.sharding.shard_shape(value.shape))


def check_placement(model):
    """Refuses a model made before the distribution was set."""
    if keras.distribution.distribution() is None:
        if jax.process_count() > 1:
            lone_processes.warn()
        return
    mesh, _ = _mesh_and_axis()
    devices = set(mesh.devices.flat)
    for variable in model.trainable_variables:
        # During a step, Keras has lent the arrays to it.
        value = variable._value
        if value is not None and value.sharding.device_set != devices:
            raise ValueError(
                "`keras.distribution` places variables when they are made: "
                "call `set_distribution` first, and make generator, encoder "
                f"and model after it. Received: {variable.path!r} on "
                f"{len(value.sharding.device_set)} devices, a mesh of "
                f"{len(devices)}"
            )


def num_shares(x):
    """How many devices a tensor is spread over, see `keras_drift.backend`."""
    # One operation at a time, each would be a program on all devices.
    traced = isinstance(x, jax.core.Tracer)
    return num_devices() if traced and not _inside_of_shares() else 1


def spread(tensors, axis=0):
    """Cuts an axis of tensors, see `keras_drift.backend`."""
    if keras.distribution.distribution() is None:
        return tensors
    return jax.tree.map(functools.partial(_spread_one, axis=axis), tensors)


def replicate(x):
    """Gives every device the whole tensor, see `keras_drift.backend`."""
    mesh, _ = _mesh_and_axis()
    return jax.lax.with_sharding_constraint(
        x, NamedSharding(mesh, PartitionSpec())
    )


def in_shares(function, inputs, axes, out_axis):
    """Runs a function on every device, see `keras_drift.backend`."""
    mesh, name = _mesh_and_axis()
    count = num_devices()
    inputs = [
        each if axis is None else _padded(each, axis, count)
        for each, axis in zip(inputs, axes, strict=True)
    ]

    # What the function closes over becomes an argument: inside of another mesh,
    # JAX does not differentiate loops with respect to values from outside.
    numbers = jnp.arange(count)
    local = [
        _struct_of_share(each, axis, count)
        for each, axis in zip(inputs, axes, strict=True)
    ]
    function, closed_over = jax.closure_convert(function, numbers[0], *local)

    def on_one_device(numbers, shares, closed_over):
        along, partial = function(numbers[0], *shares, *closed_over)
        return along, jax.tree.map(lambda each: each[None], partial)

    # Without a check of what is equal on all devices, since nothing is said to
    # be: it does not know the constants that loops start from.
    return jax.shard_map(
        on_one_device,
        mesh=mesh,
        in_specs=(
            PartitionSpec(name),
            tuple(_spec(name, axis) for axis in axes),
            PartitionSpec(),
        ),
        out_specs=(_spec(name, out_axis), PartitionSpec(name)),
        check_vma=False,
    )(numbers, tuple(inputs), closed_over)


def _struct_of_share(x, axis, count):
    shape = list(x.shape)
    if axis is not None:
        shape[axis] //= count
    return jax.ShapeDtypeStruct(shape, x.dtype)


def _spread_one(x, axis):
    # XLA takes other sizes as well, but not always computes the gradients of
    # its padding right: on a mesh of two axes it adds to row 0 of embeddings.
    if x.shape[axis] % num_devices():
        return x
    mesh, name = _mesh_and_axis()
    return keras.distribution.distribute_tensor(
        x, NamedSharding(mesh, _spec(name, axis))
    )


def _padded(x, axis, count):
    """The tensor with zeros at its end, so that its axis can be divided."""
    missing = -x.shape[axis] % count
    if not missing:
        return x
    widths = [(0, 0)] * x.ndim
    widths[axis] = (0, missing)
    return jnp.pad(x, widths)


def _spec(name, axis):
    if axis is None:
        return PartitionSpec()
    return PartitionSpec(*[None] * axis, name)


def _mesh_and_axis():
    distribution = keras.distribution.distribution()
    return distribution.device_mesh.backend_mesh, distribution.batch_dim_name


def _inside_of_shares():
    # There, the mesh of the surrounding `shard_map` has axes of its own.
    return bool(jax.sharding.get_abstract_mesh().manual_axes)
