"""Orbax: checkpoints of arrays that are sharded over the processes of JAX.

Imported where one is written or read: Orbax is an optional dependency.
"""

import dataclasses
import functools

import jax
import orbax.checkpoint as ocp

_TIMEOUT = 4 * 60 * 60  # seconds; a large model on a slow disk takes long


class _Handler(ocp.StandardCheckpointHandler):
    """Writes arrays, and the other files of a checkpoint before its commit."""

    def __init__(self, files):
        super().__init__()
        self._files = files

    async def async_save(self, directory, args):
        arrays = ocp.args.StandardSave(args.item)
        futures = await super().async_save(directory, args=arrays)
        return [_Write(self._files, directory, futures)]

    def finalize(self, directory):
        self._files.complete(directory, super().finalize)


@ocp.args.register_with_handler(_Handler, for_save=True, for_restore=True)
@dataclasses.dataclass
class _Save(ocp.args.StandardSave):
    """The arrays that `_Handler` writes."""


class _Write:
    """What a process writes; a thread of Orbax waits for its end."""

    def __init__(self, files, directory, futures):
        self._files = files
        self._directory = directory
        self._futures = futures

    def result(self, timeout=None):
        def wait_for_arrays():
            for future in self._futures:
                future.result(timeout=timeout)

        self._files.write(self._directory, wait_for_arrays)


def write(path, variables, files):
    """Starts to write variables, see `keras_drift.backend`."""
    checkpointer = ocp.AsyncCheckpointer(
        _Handler(files),
        # The other files need the folder.
        async_options=ocp.options.AsyncOptions(
            create_directories_asynchronously=False,
            timeout_secs=_TIMEOUT,
        ),
    )
    arrays = jax.tree.map(lambda variable: variable.value, variables)
    try:
        # Until there is a copy of the shards of this process in host memory.
        checkpointer.save(path, args=_Save(arrays))
    except BaseException:
        checkpointer.close()
        raise
    return functools.partial(_wait_and_close, checkpointer)


def read(path, variables):
    """Reads the values of variables, see `keras_drift.backend`."""
    return _read(
        path,
        jax.tree.map(
            lambda variable: _struct(
                variable.shape, variable.dtype, variable.value.sharding
            ),
            variables,
        ),
    )


def read_on_host(path, shapes):
    """Reads whole arrays, see `keras_drift.backend`."""
    host = jax.sharding.SingleDeviceSharding(jax.devices("cpu")[0])
    targets = {
        name: [_struct(shape, dtype, host) for shape, dtype in group]
        for name, group in shapes.items()
    }
    return jax.device_get(_read(path, targets))


def _wait_and_close(checkpointer):
    """Closes it also if it could not write: `close` waits first, and raises."""
    try:
        checkpointer.wait_until_finished()
    finally:
        checkpointer.close()


def _struct(shape, dtype, sharding):
    return jax.ShapeDtypeStruct(tuple(shape), dtype, sharding=sharding)


def _read(path, targets):
    with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
        arrays = ocp.args.StandardRestore(targets)
        return checkpointer.restore(path, args=arrays)
