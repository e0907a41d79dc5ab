"""Processes of `torch.distributed`: each takes its share of every batch.

Keras 3.15 has no data parallelism for PyTorch. Where a later Keras has it, and
`keras.distribution` is set, Keras divides the batches, averages the gradients
and distributes the first weights itself; the collectives of the field stay.
"""

import atexit
import contextlib
import datetime
import functools
import os

import keras
import torch
from torch import distributed

from keras_drift import environment
from keras_drift import user_warnings

# `training.shares` has divided the whole batch, and gradients are averaged.
from keras_drift.backend.one_replica import check_placement
from keras_drift.backend.one_replica import check_shares
from keras_drift.backend.one_replica import share_of_loss

__all__ = [
    "RECEIVES_SHARES",
    "all_gather",
    "all_mean",
    "averaged_gradients",
    "check_placement",
    "check_shares",
    "equalize",
    "join_processes",
    "num_available_devices",
    "num_replicas",
    "of_all_processes",
    "replica_index",
    "replicas_of",
    "share",
    "share_of_loss",
    "wait_for_all",
]


class ReplicaError(RuntimeError):
    """A process of the run has ended, or cannot be reached."""


def keras_is_parallel():
    """Whether Keras itself distributes batches over processes."""
    return keras.distribution.distribution() is not None


# In this process, every step is given the whole batch.
RECEIVES_SHARES = False


def join_processes(timeout, end_together=False):
    """Initializes `torch.distributed`, if a launcher has set the processes.

    Args:
        timeout: float, seconds.
        end_together: of JAX.
    """
    del end_together
    alone = environment.integer("WORLD_SIZE", 1) == 1
    if alone or not distributed.is_available() or distributed.is_initialized():
        return
    on_gpus = torch.cuda.is_available()
    if on_gpus:
        torch.cuda.set_device(environment.integer("LOCAL_RANK", 0))
    distributed.init_process_group(
        "nccl" if on_gpus else "gloo",
        timeout=datetime.timedelta(seconds=timeout),
    )
    if not on_gpus:
        atexit.register(_leave)


def _leave():
    """Ends the threads of Gloo, in which Python would abort as it exits."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def wait_for_all():
    """Waits, for days if need be, until every process has called it."""
    if num_replicas() > 1:
        _run(distributed.barrier, _waiting_group())


@functools.cache
def _waiting_group():
    """All processes, on the CPUs, and for longer than within a step."""
    return distributed.new_group(
        backend="gloo", timeout=datetime.timedelta(days=7)
    )


def num_available_devices():
    """The devices of a run, see `keras_drift.backend`."""
    if num_replicas() > 1:
        return num_replicas()  # each process has taken its own
    return max(1, torch.cuda.device_count())


def num_replicas():
    """The number of processes."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return 1
    return distributed.get_world_size()


def replicas_of(model):
    """The number of replicas that train a model: that of the processes."""
    del model
    if num_replicas() == 1 and (
        "TORCHELASTIC_RUN_ID" in os.environ and os.environ["WORLD_SIZE"] != "1"
    ):
        user_warnings.warn(
            "torchrun has started several processes, but each of them trains "
            "alone: call `keras_drift.distribution.initialize()` first."
        )
    return num_replicas()


def replica_index():
    """The rank of this process."""
    return 0 if num_replicas() == 1 else distributed.get_rank()


def all_mean(x):
    """The mean of a tensor over the processes, without gradients."""
    if num_replicas() == 1:
        return x
    total = x.detach().clone()
    _run(distributed.all_reduce, total)
    return total / num_replicas()


def all_gather(x, axis):
    """The tensors of all processes, one after another, without gradients."""
    count = num_replicas()
    if count == 1:
        return x
    x = x.detach().contiguous()
    parts = [torch.empty_like(x) for _ in range(count)]
    _run(distributed.all_gather, parts, x)
    return torch.cat(parts, dim=axis)


def share(x, axis):
    """The part of this process of a tensor that all processes hold."""
    count = num_replicas()
    if count == 1:
        return x
    size = x.shape[axis] // count
    return x.narrow(axis, replica_index() * size, size)


@contextlib.contextmanager
def averaged_gradients(optimizer):
    """While it is open, the optimizer averages gradients over the processes.

    Args:
        optimizer: a Keras optimizer, or `None`.
    """
    if optimizer is None or num_replicas() == 1 or keras_is_parallel():
        yield
        return
    apply = optimizer.apply

    def apply_average(gradients, variables=None):
        _average(gradients)
        return apply(gradients, variables)

    optimizer.apply = apply_average
    try:
        yield
    finally:
        del optimizer.apply


def _average(gradients):
    """Averages gradients in place, those of one type in one message."""
    by_type = {}
    for gradient in gradients:
        if gradient is not None:
            key = gradient.dtype, gradient.device
            by_type.setdefault(key, []).append(gradient)
    for tensors in by_type.values():
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        _run(distributed.all_reduce, flat)
        flat /= num_replicas()
        sizes = [tensor.numel() for tensor in tensors]
        for tensor, part in zip(tensors, flat.split(sizes), strict=True):
            tensor.copy_(part.reshape(tensor.shape))


def equalize(model):
    """Gives all processes the variables of the first one.

    Args:
        model: a compiled `keras.Model`.
    """
    if num_replicas() == 1 or keras_is_parallel():
        return
    optimizer = getattr(model, "optimizer", None)
    variables = [*model.variables, *getattr(optimizer, "variables", ())]
    with torch.no_grad():
        for variable in variables:
            value = variable.value.detach().contiguous()
            _run(distributed.broadcast, value, 0)
            variable.value.copy_(value)


def of_all_processes(number):
    """Lists a number of each process, in the order of their indices."""
    found = [number]
    if num_replicas() > 1:
        found = [None] * num_replicas()
        _run(distributed.all_gather_object, found, number)
    return found


def _run(collective, *args):
    """Calls a collective; explains what fails if a process is gone."""
    try:
        collective(*args)
    except RuntimeError as error:
        raise ReplicaError(
            "Another process of this training run has ended, or cannot be "
            "reached, so this one cannot go on. Look for the first error among "
            "all processes, and start the run again, from a "
            "`callbacks.TrainingCheckpoint` if there is one. Received: rank "
            f"{distributed.get_rank()} of {distributed.get_world_size()}, "
            f"{error}"
        ) from error
