"""Joins the processes of a training run on PyTorch."""

from keras_drift import backend
from keras_drift import checks


def initialize(timeout=600.0):
    """Joins the processes that train one model on PyTorch.

    Call it first in a script that `torchrun` starts, or any launcher that sets
    `RANK`, `WORLD_SIZE`, `LOCAL_RANK`, `MASTER_ADDR` and `MASTER_PORT`. All
    processes then run the same `fit` on the same data: each trains on its share
    of every batch, `batch_size` being that of all of them, and losses and
    metrics are those of the whole batch. The weights are those of the first
    process. Communication is by NCCL where there are GPUs, each process taking
    the one of its `LOCAL_RANK`, and by Gloo on CPUs.

    In a script started as a single process, or where `torch.distributed` has
    been initialized already, it does nothing; so it does on JAX and TensorFlow,
    which distribute by `keras.distribution` and `tf.distribute`.

    Args:
        timeout: float > 0, seconds after which a process gives up waiting for
            another one that is silent. What one process does alone, such as
            `generate` and saving, must take less; `fit`, `evaluate` and
            `train_on_batch` are called by all processes, or they wait for each
            other. Defaults to `600.0`.

    Returns:
        `(rank, num_processes)`: the index of this process, and how many there
        are. Save and print where the rank is 0.

    Example:

    >>> import keras_drift
    >>> rank, num_processes = keras_drift.distribution.initialize()
    >>> rank, num_processes  # not started by `torchrun`
    (0, 1)
    """
    checks.positive_number("timeout", timeout)
    backend.join_processes(timeout)
    return backend.process_index(), backend.num_processes()
