"""JAX: joins the processes of a run, and lets them wait for each other."""

import functools
import inspect
import itertools
import os

import jax

# No public function of JAX 0.10 waits without occupying the devices, as
# `multihost_utils.sync_global_devices` does; Orbax uses this one as well.
from jax._src import distributed

from keras_drift import environment
from keras_drift.backend import lone_processes

# Seconds that processes which end together wait for each other.
_END_TOGETHER = 30
# Seconds until a process that sends nothing is taken for dead.
_HEARTBEAT_TIMEOUT = 40
_DAYS = 24 * 3600 * 1000

_barriers = itertools.count()


def join_processes(timeout, end_together=False):
    """Connects the processes of a run, if a launcher has started several.

    Args:
        timeout: float, seconds to wait for the other processes, at the
            beginning and at the end.
        end_together: bool, whether they end within seconds of each other,
            unless one of them has failed. Defaults to `False`.
    """
    if distributed.global_state.client is not None:
        return
    arguments = launched()
    if arguments is None:
        _refuse_lone_process()
        return
    at_end = _END_TOGETHER if end_together else max(1, round(timeout))
    # JAX 0.4 has none of these.
    options = {
        "shutdown_timeout_seconds": at_end,
        "heartbeat_timeout_seconds": _HEARTBEAT_TIMEOUT,
    }
    known = inspect.signature(jax.distributed.initialize).parameters
    jax.distributed.initialize(
        **arguments,
        initialization_timeout=max(1, round(timeout)),
        **{name: value for name, value in options.items() if name in known},
    )


def wait_for_all():
    """Waits, for days if need be, until every process has called it."""
    if jax.process_count() > 1:
        distributed.global_state.client.wait_at_barrier(
            f"keras_drift/{next(_barriers)}", timeout_in_ms=7 * _DAYS
        )


def launched():
    """The arguments of `jax.distributed.initialize`; `None` for one process.

    Environment variables alone decide. JAX would ask the servers of a cluster,
    also on a machine that is part of none.
    """
    addresses = _either(
        os.environ.get,
        "KERAS_DISTRIBUTION_JOB_ADDRESSES",
        "JAX_COORDINATOR_ADDRESS",
    )
    count = _either(
        functools.partial(environment.integer, least=1),
        "KERAS_DISTRIBUTION_NUM_PROCESSES",
        "JAX_NUM_PROCESSES",
    )
    index = _either(
        environment.integer, "KERAS_DISTRIBUTION_PROCESS_ID", "JAX_PROCESS_ID"
    )
    is_detected = _num_detected() > 1
    if count == 1 or not (addresses or count or is_detected):
        return None
    given = (addresses, count, index)
    if addresses and None in given and not is_detected:
        raise ValueError(
            "A process needs the address of the first one, the number of "
            "processes and its own index: set JAX_COORDINATOR_ADDRESS, "
            "JAX_NUM_PROCESSES and JAX_PROCESS_ID. Received: "
            f"address={addresses}, number={count}, index={index}"
        )
    arguments = {
        "coordinator_address": addresses and addresses.split(",")[0],
        "num_processes": count,
        "process_id": index,
    }
    if None not in given:
        arguments["cluster_detection_method"] = "deactivate"
    return arguments


def _either(read, name, other):
    """The value of an environment variable of Keras, or of JAX, or `None`."""
    found = read(name)
    if found in (None, ""):
        found = read(other)
    return None if found == "" else found


def _num_detected():
    """The processes of a launcher that JAX knows, by its variables."""
    # In the order of JAX: `mpirun` may start its processes by way of Slurm.
    if "OMPI_MCA_orte_hnp_uri" in os.environ:
        return environment.integer("OMPI_COMM_WORLD_SIZE", 1)
    slurm = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_LOCALID")
    if all(name in os.environ for name in slurm):
        # The shell of `salloc -n 4` is one task of a job of four.
        of_job = environment.integer("SLURM_NTASKS", 1)
        return environment.integer("SLURM_STEP_NUM_TASKS", of_job)
    # Of the TPUs of Google Kubernetes Engine.
    hosts = os.environ.get("TPU_PROCESS_ADDRESSES") or os.environ.get(
        "TPU_WORKER_HOSTNAMES", ""
    )
    slices = environment.integer("MEGASCALE_NUM_SLICES", 1)
    return max(slices, len(hosts.split(",")))


def _refuse_lone_process():
    """Refuses one of several processes, which would train by itself."""
    lone_processes.refuse_torchrun(
        "JAX has one process for each host, and reads "
        "JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID. "
    )
    count = jax.process_count()
    if count > 1:
        raise ValueError(
            "The hosts of a TPU slice train one model together if they are "
            f"told to: set KERAS_DISTRIBUTION_NUM_PROCESSES={count} on each. "
            f"Received: one of {count} hosts, without it"
        )
