"""What a launcher gives the processes of a run: their environment variables."""

import contextlib
import json
import socket

import keras


def free_ports(count):
    """Ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in found:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in found]


def variables(count):
    """The environment variables of each of the processes of a run.

    Args:
        count: int, the number of processes.
    """
    ports = free_ports(count)
    make = {"jax": _of_jax, "tensorflow": _of_tensorflow, "torch": _of_torch}
    of_rank = make[keras.backend.backend()]
    return [of_rank(rank, ports) for rank in range(count)]


def _of_jax(rank, ports):
    return {
        "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{ports[0]}",
        "JAX_NUM_PROCESSES": str(len(ports)),
        "JAX_PROCESS_ID": str(rank),
    }


def _of_tensorflow(rank, ports):
    cluster = {"worker": [f"127.0.0.1:{each}" for each in ports]}
    task = {"type": "worker", "index": rank}
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}


def _of_torch(rank, ports):
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(len(ports)),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(ports[0]),
    }
