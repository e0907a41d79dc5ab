"""The processes of a run: what the first one does, and what all of them do."""

import contextlib
import functools
import json
import os

import keras_drift as kd
from keras_drift import backend


class FirstProcessError(OSError):
    """The first process of a run has failed, and the others end as well."""


def join():
    """Joins the processes of this command, if a launcher has started several.

    Raises:
        ValueError: if they would train by themselves, in one folder.
    """
    kd.distribution.initialize()
    cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
    count = sum(map(len, cluster.values()))
    if count > 1 and backend.num_processes() == 1:
        raise ValueError(
            "On TensorFlow, this command trains on the GPUs of one process. "
            "In several processes, use JAX or PyTorch, --backend torch, and "
            f"unset TF_CONFIG. Received: TF_CONFIG of {count} processes"
        )


def is_first():
    """Whether this process is the one that writes files."""
    return backend.process_index() == 0


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
        found, failed = None, True
        try:
            if is_first():
                found = function(*args)
            failed = False
        finally:
            backend.wait_for_all()
            failed = agreed(failed)
        if failed:
            raise FirstProcessError(
                "The first process of this run has failed, and its message "
                "says why. Received: process "
                f"{backend.process_index()} of {backend.num_processes()}"
            )
        return found

    return call
