"""Joins the processes of a training run."""

from keras_drift import backend
from keras_drift import checks


def initialize(timeout=600.0):
    """Joins the processes that train one model.

    Call it first in a script that a launcher starts in several processes, on
    one host or many. All processes then run the same `fit`; losses and metrics
    are those of the whole batch.

    - PyTorch: `torchrun`, or any launcher that sets `RANK`, `WORLD_SIZE`,
      `LOCAL_RANK`, `MASTER_ADDR` and `MASTER_PORT`. All processes are given the
      same data, and each trains on its share of every batch, `batch_size` being
      that of all of them. The weights are those of the first process.
      Communication is by NCCL where there are GPUs, each process taking the one
      of its `LOCAL_RANK`, and by Gloo on CPUs.
    - JAX: Slurm's `srun`, Open MPI, TPUs of Google Kubernetes Engine, or any
      launcher that sets `JAX_COORDINATOR_ADDRESS`, `JAX_NUM_PROCESSES` and
      `JAX_PROCESS_ID`, or Keras' `KERAS_DISTRIBUTION_JOB_ADDRESSES`,
      `KERAS_DISTRIBUTION_NUM_PROCESSES` and `KERAS_DISTRIBUTION_PROCESS_ID`.
      On a slice of Cloud TPUs, the number of hosts is enough,
      `KERAS_DISTRIBUTION_NUM_PROCESSES`. Call `keras.utils.set_random_seed`
      with one seed in all processes, and see `data_parallel`.
    - TensorFlow: `TF_CONFIG`, which names all workers, and which of them this
      one is. Call it before TensorFlow computes anything, and see
      `data_parallel`. All processes are given the same data, as with PyTorch.

    In a script started as a single process, or where the processes have been
    joined already, it does nothing. It looks at environment variables alone,
    and connects to nothing unless they say that there are several processes.

    Args:
        timeout: float > 0, seconds after which a process gives up waiting for
            another one that has not started, for the last one to end (JAX), or
            for one that is silent (PyTorch). What one process does alone, such
            as `generate` and saving, must take less; `fit`, `evaluate` and
            `train_on_batch` are called by all processes, or they wait for each
            other. A process of JAX or TensorFlow that was killed ends the
            others within a minute. TensorFlow has a timeout of its own.
            Defaults to `600.0`.

    Returns:
        `(rank, num_processes)`: the index of this process, and how many there
        are. Save and print where the rank is 0.

    Raises:
        ValueError: if there are several processes, and they cannot be joined:
            `torchrun` with another backend than PyTorch, incomplete variables,
            or a slice of TPUs without the number of its hosts.
        RuntimeError: if TensorFlow has been used before it is called.

    Example:

    >>> import keras_drift
    >>> rank, num_processes = keras_drift.distribution.initialize()
    >>> rank, num_processes  # not started by a launcher
    (0, 1)
    """
    checks.positive_number("timeout", timeout)
    backend.join_processes(timeout)
    return backend.process_index(), backend.num_processes()
