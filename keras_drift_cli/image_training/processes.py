"""The processes of a run: what the first one does, and what all of them do."""

import contextlib
import functools
import os

import keras

from keras_drift import backend
from keras_drift import environment

_TIMEOUT = 600.0  # seconds until the last process has started
# What launchers say of how many processes they start.
_COUNTS = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")


class FirstProcessError(OSError):
    """The first process of a run has failed, and the others end as well."""


def join():
    """Joins the processes of this command, if a launcher has started several.

    Raises:
        ValueError: if they would train by themselves, in one folder.
    """
    backend.join_processes(_TIMEOUT, end_together=True)
    if backend.num_processes() > 1:
        return
    counts = {name: environment.integer(name, 1) for name in _COUNTS}
    name = max(counts, key=counts.get)
    if counts[name] > 1:
        raise ValueError(
            "Several processes were started, and each of them would train by "
            "itself. Start one process, or join them: `torchrun` starts those "
            "of PyTorch, TensorFlow reads TF_CONFIG, and JAX the variables "
            "that `keras-drift train --help` names. "
            f"Received: {counts[name]} processes, by the variable {name}, "
            f"backend={keras.backend.backend()!r}"
        )


def is_first():
    """Whether this process is the one that writes files."""
    return backend.process_index() == 0


def check_groups(groups):
    """Refuses batches that several processes do not divide.

    Args:
        groups: int, of a batch.
    """
    count = backend.num_processes()
    # Processes of PyTorch divide the samples of one group.
    if groups % count and (groups > 1 or backend.gives_shares()):
        raise ValueError(
            "Each process gives equally many groups of a batch. Set "
            "`training.groups` to a multiple of the number of processes, at "
            "most the number of classes, or start fewer of them. "
            f"Received: batches of {groups} groups, {count} processes"
        )


def share():
    """`(index, count)`, the part of a batch that this process gives."""
    if not backend.gives_shares():
        return 0, 1  # whole batches
    return backend.process_index(), backend.num_processes()


def agreed(flag):
    """What the first process says, once all of them have come here."""
    return bool(backend.of_all_processes(int(flag))[0])


def require_shared(path):
    """Refuses a folder in which processes do not find the files of the first.

    Args:
        path: `pathlib.Path` of a folder that the first process has made.
    """
    found = backend.of_all_processes(int(path.is_dir()))
    if not all(found):
        raise ValueError(
            "All processes read the folder of the run: give a path that all "
            "hosts share, --run FOLDER. Received: "
            f"{path}, which {found.count(0)} of {len(found)} processes do not "
            "find"
        )


@contextlib.contextmanager
def first_prints():
    """Context in which the other processes print nothing but errors."""
    if is_first():
        yield
        return
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
        yield


def by_first(function):
    """Decorates a function that the first process calls, on one device.

    The others wait for it, however long it takes. All processes call the
    result, which returns `None` in the others.

    Raises:
        FirstProcessError: in the others, if the first one has failed.
    """

    @functools.wraps(function)
    def call(*args):
        found = error = None
        if is_first():
            # Not Ctrl-C, which reaches all of them.
            try:
                found = function(*args)
            except Exception as caught:
                error = caught
        backend.wait_for_all()
        failed = agreed(error is not None)
        if error is not None:
            raise error
        if failed:
            raise FirstProcessError(
                "The first process of this run has failed, and its message "
                "says why. Received: process "
                f"{backend.process_index()} of {backend.num_processes()}"
            )
        return found

    return call
