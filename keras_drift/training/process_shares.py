"""Checks and restores the data of each process of one run."""

import keras
import numpy as np

from keras_drift import backend
from keras_drift import fingerprints
from keras_drift import user_warnings
from keras_drift.datasets.arrays.seeded_dataset import SeededDataset


def restore(data, state, is_own=None):
    """Gives a data source its state.

    Where each process gives its share, every one has data of its own. Of the
    state of another process, it takes the epoch, which they have in common.

    Args:
        data: the data source of `fit`.
        state: of the same data source, or of that of another process.
        is_own: bool, whether it is that of this process. Defaults to `None`:
            it is that of the first one, which alone has saved it.
    """
    is_seeded = isinstance(data, SeededDataset)
    if is_own is None:
        is_own = not backend.gives_shares()
    if is_own:
        data.set_state(state)
    elif is_seeded:
        data.set_state({"seed": data.seed, "epoch": state["epoch"]})
    else:
        user_warnings.warn(
            "Each process has a position in the data, and banks, of its own, "
            "and the number of processes is another one now: the data begin "
            f"anew. Received: data of type {type(data).__name__}, "
            f"{backend.num_processes()} processes"
        )


def has_own_state(data):
    """Whether each process has a state of the data that no other one has.

    Args:
        data: the data source of `fit`. Of a `SeededDataset`, processes differ
            in the seed, which the script gives them again.
    """
    return (
        backend.gives_shares()
        and backend.num_devices() > 1
        and hasattr(data, "get_state")
        and not isinstance(data, SeededDataset)
    )


def check(data):
    """Refuses data that processes cannot make the batches of one run from.

    Where each gives its share of a batch, one data set in several of them would
    repeat every sample; where each takes its share of the whole batches, those
    must be the same. Nobody would notice otherwise.

    Args:
        data: the data source of `fit`. Only a `SeededDataset` is looked at:
            reading from others would change what they give.
    """
    if not isinstance(data, SeededDataset) or backend.num_processes() == 1:
        return
    _check_class(data)
    # Of its own part of a batch, unlike that of the state.
    first_batch = keras.tree.flatten(data.fixed()[0])
    _check_sizes(data, first_batch)
    checksum = fingerprints.of_arrays(*map(np.asarray, first_batch))
    # As many bits as JAX sends by default, without the sign.
    found = backend.of_all_processes(int(checksum[:7], 16))
    if not backend.gives_shares():
        if len(set(found)) > 1:
            raise ValueError(
                "Each process takes its share of the whole batches, which must "
                "be the same in all of them: give each process the same "
                "samples, with one `seed`. Received: "
                f"{len(set(found))} different first batches in {len(found)} "
                "processes"
            )
    elif len(set(found)) < len(found):
        raise ValueError(
            "Each process gives its share of a batch, and these are the same "
            "samples in several of them. Give each process samples of its own, "
            "as by `datasets.GroupedDataset(..., share=(process_index, "
            "num_processes))`. "
            f"Received: {len(set(found))} different first batches in "
            f"{len(found)} processes"
        )


def check_length(epochs, first_epoch, steps, length):
    """Refuses a `fit` that is longer or shorter than in other processes.

    Args:
        epochs: int, the number of epochs.
        first_epoch: int, the epoch it begins with.
        steps: int, the number of steps in an epoch, or `None`.
        length: int, the number of batches of the data source, or `None`.
    """
    if backend.gives_shares() and backend.num_devices() == 1:
        return  # without a distribution, processes of JAX train models apart
    numbers = (epochs, first_epoch, steps, length)
    # No process trains for as many epochs as JAX can send.
    found = _of_all_processes(
        [-1 if n is None else min(n, 2**31 - 1) for n in numbers]
    )
    if len(set(found)) > 1:
        raise ValueError(
            "All processes train for the same epochs and number of batches in "
            "each, or some would wait for the others without end. Received: "
            "(epochs, initial_epoch, steps in an epoch, batches of the data; "
            f"-1: unknown) = {found}"
        )


def _check_class(data):
    """Refuses shares of the samples of one class, which would be groups."""
    is_shared = getattr(data, "share", (0, 1))[1] > 1
    has_class = getattr(data, "num_classes", None) is not None
    if is_shared and has_class and data.placement == "samples":
        raise ValueError(
            "Each process gives whole groups of samples with classes. Set "
            "`groups_per_batch` to a multiple of the number of processes, or "
            "leave out the labels of data of one class. Received: "
            f"groups_per_batch=1, share={data.share}"
        )


def _check_sizes(data, first_batch):
    """Refuses batches of other sizes than those of the other processes."""
    sizes = [len(first_batch[0])]
    if data.is_fixed:  # others are read without end
        last_batch = keras.tree.flatten(data[len(data) - 1])
        sizes += [len(data), len(last_batch[0])]
    found = _of_all_processes(sizes)
    if len(set(found)) > 1:
        raise ValueError(
            "All processes read equally many samples, or some would wait for "
            "the others without end. Give each process as many as the others. "
            "Received: sizes of the first batch, and in evaluation the number "
            f"of batches and the size of the last one, {found}"
        )


def _of_all_processes(numbers):
    """A tuple of ints of each process."""
    return [*zip(*map(backend.of_all_processes, numbers), strict=True)]
