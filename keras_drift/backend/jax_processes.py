"""JAX: joins the processes of a run, and lets them wait for each other."""

import inspect
import itertools
import os

import jax

# No public function of JAX 0.10 waits without occupying the devices, as
# `multihost_utils.sync_global_devices` does; Orbax uses this one as well.
from jax._src import distributed

# Seconds that processes wait for the last one to end: those of a run end
# together, unless one of them has failed.
_SHUTDOWN_TIMEOUT = 30
_DAYS = 24 * 3600 * 1000

_barriers = itertools.count()


def join_processes(timeout):
    """Connects the processes of a run, if a launcher has started several.

    Args:
        timeout: float, seconds to wait for the other processes.
    """
    if distributed.global_state.client is not None:
        return
    arguments = launched()
    if arguments is None:
        _refuse_lone_process()
        return
    options = {"shutdown_timeout_seconds": _SHUTDOWN_TIMEOUT}
    known = inspect.signature(jax.distributed.initialize).parameters
    jax.distributed.initialize(
        **arguments,
        initialization_timeout=max(1, round(timeout)),
        # JAX 0.4 has no such argument.
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
    addresses = _variable("JOB_ADDRESSES", "JAX_COORDINATOR_ADDRESS")
    count = _variable("NUM_PROCESSES", "JAX_NUM_PROCESSES")
    index = _variable("PROCESS_ID", "JAX_PROCESS_ID")
    is_detected = _num_detected() > 1
    if count == "1" or not (addresses or count or is_detected):
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
        "num_processes": count and int(count),
        "process_id": index and int(index),
    }
    if None not in given:
        arguments["cluster_detection_method"] = "deactivate"
    return arguments


def _variable(name, other):
    """The value of an environment variable of Keras, or of another one."""
    found = os.environ.get(f"KERAS_DISTRIBUTION_{name}")
    return found or os.environ.get(other) or None


def _num_detected():
    """The processes of a launcher that JAX knows, by its variables."""
    slurm = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_LOCALID")
    if all(name in os.environ for name in slurm):
        return int(os.environ.get("SLURM_NTASKS", 1))
    if "OMPI_MCA_orte_hnp_uri" in os.environ:
        return int(os.environ.get("OMPI_COMM_WORLD_SIZE", 1))
    # Of the TPUs of Google Kubernetes Engine.
    hosts = os.environ.get("TPU_PROCESS_ADDRESSES") or os.environ.get(
        "TPU_WORKER_HOSTNAMES", ""
    )
    slices = int(os.environ.get("MEGASCALE_NUM_SLICES") or 1)
    return max(slices, len(hosts.split(",")))


def _refuse_lone_process():
    """Refuses one of several processes, which would train by itself."""
    count = int(os.environ.get("WORLD_SIZE", 1))
    if count > 1:
        raise ValueError(
            "`torchrun` starts the processes of PyTorch: use "
            "KERAS_BACKEND=torch. JAX has one process for each host, and reads "
            "JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID. "
            f"Received: WORLD_SIZE={count}, KERAS_BACKEND=jax"
        )
    count = jax.process_count()
    if count > 1:
        raise ValueError(
            "The hosts of a TPU slice train one model together if they are "
            f"told to: set KERAS_DISTRIBUTION_NUM_PROCESSES={count} on each. "
            f"Received: one of {count} hosts, without it"
        )
