"""States whose arrays are sharded over the processes of a run on JAX.

A folder holds what Orbax writes of the arrays, each process its shards; the
other values of each process, `process_0.npz`; and `manifest.json` with the
checksums of all of these files, without which a folder is not complete.
"""

import contextlib
import errno
import functools
import pathlib
import shutil

import keras

from keras_drift import backend
from keras_drift.training import checkpoint_manifest
from keras_drift.training import state_file
from keras_drift.training import training_state


def is_complete(path):
    """Whether a path is that of a complete folder."""
    return (path / checkpoint_manifest.NAME).is_file()


def delete(path):
    """Deletes a folder, which is not complete from the beginning on.

    Raises:
        OSError: if something of it cannot be deleted.
    """
    (path / checkpoint_manifest.NAME).unlink(missing_ok=True)
    shutil.rmtree(path)


def write(path, variables, state):
    """Starts to write a state; every process calls it.

    Args:
        path: `pathlib.Path` of the folder.
        variables: dict from names to lists of variables. They may change when
            it returns.
        state: dict, see `state_file.write`: the other values of this process.
            It must not change any more.

    Returns:
        A function that waits for the end in all processes. It raises an
        `OSError` in each of them if one could not write what is its own.
    """
    files = _Files(variables, state)
    writer = backend.sharded_checkpoints()
    wait_for_commit = writer.write(path.absolute(), variables, files)
    return functools.partial(_wait, path, wait_for_commit, files)


def read(path, variables):
    """Reads what `write` wrote; every process calls it.

    Args:
        path: `pathlib.Path` of the folder.
        variables: dict from names to lists of variables. Their values are read
            as the variables are laid out, over any processes and devices.

    Returns:
        The state, and the values of the variables by their names; `"is_own"`
        is false where the number of processes is another one, which are all
        given the state of the first.
    """
    reader = _reader(path)
    manifest = checkpoint_manifest.read(path)
    for name, group in variables.items():
        shapes = [tuple(shape) for _, shape, _ in manifest["variables"][name]]
        training_state.check(name, group, shapes)
    is_own = manifest["num_processes"] == backend.num_processes()
    index = backend.process_index() if is_own else 0
    return {
        **state_file.read(path / _name(index)),
        **reader.read(path.absolute(), variables),
        "is_own": is_own,
    }


def read_on_host(path):
    """Reads whole arrays to the memory of one process.

    Args:
        path: `pathlib.Path` of the folder.

    Returns:
        The state of the first process and the values of all variables.
    """
    reader = _reader(path)
    manifest = checkpoint_manifest.read(path)
    shapes = {
        name: [(shape, dtype) for _, shape, dtype in group]
        for name, group in manifest["variables"].items()
    }
    return {
        **state_file.read(path / _name(0)),
        **reader.read_on_host(path.absolute(), shapes),
        "is_own": False,
    }


class _Files:
    """What a checkpoint holds beside its arrays, see `keras_drift.backend`.

    Exceptions are kept, not raised, or the other processes would wait for this
    one: a checkpoint without a manifest tells all of them.

    Attributes:
        error: what failed in this process, or `None`.
    """

    def __init__(self, variables, state):
        self.error = None
        self._variables = variables
        self._state = state

    def write(self, directory, wait_for_arrays):
        """Writes what is this process' own, after its arrays."""
        directory = pathlib.Path(directory)
        try:
            own = directory / _name(backend.process_index())
            state_file.write(own, self._state)
            wait_for_arrays()
            checkpoint_manifest.write_part(directory)
        except Exception as error:
            self.error = error

    def complete(self, directory, finalize):
        """Writes the manifest, after all processes have written theirs."""
        directory = pathlib.Path(directory)
        try:
            entries = checkpoint_manifest.collect_parts(directory)
            finalize(directory)
            checkpoint_manifest.write(directory, self._variables, entries)
        except Exception as error:
            self.error = self.error or error


def _wait(path, wait_for_commit, files):
    """Waits until all processes have written a folder, or one has failed."""
    try:
        wait_for_commit()
    except Exception as error:
        files.error = files.error or error
    if files.error is None and is_complete(path):
        return
    error = files.error or checkpoint_manifest.MissingPartError(
        "another process has not written its shards; its message says why"
    )
    if backend.process_index() == 0:
        with contextlib.suppress(OSError):  # what has failed is said instead
            delete(path)
    if isinstance(error, (OSError, TypeError)):
        raise error
    # TensorStore raises errors of a disk as values.
    raise OSError(errno.EIO, str(error).partition("\n")[0]) from error


def _reader(path):
    if backend.sharded_checkpoints is None:
        raise ValueError(
            "The weights of this checkpoint are sharded, which JAX alone "
            "reads. Start Python with KERAS_BACKEND=jax, in one process, and "
            "call the method `merge` of the `TrainingCheckpoint`: all backends "
            "read the file that it writes. Received: "
            f"path={str(path)!r}, backend={keras.backend.backend()!r}"
        )
    return backend.sharded_checkpoints()


def _name(index):
    return f"process_{index}.npz"
