"""Runs a script of cases on several virtual devices, in a process of its own.

The number of devices of a process is decided before its first computation.
"""

import json
import os
import socket
import subprocess
import sys
from concurrent import futures


def results_of(script, *arguments, devices=8):
    """What a script prints as JSON in its last line.

    Args:
        script: path of a Python file.
        *arguments: for the script.
        devices: int, the number of virtual CPU devices. Defaults to `8`.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    flags += f" --xla_force_host_platform_device_count={devices}"
    result = subprocess.run(
        [sys.executable, str(script), *arguments],
        env={**os.environ, "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def results_of_processes(script, *arguments, processes=2, devices=4):
    """What the processes of one run print, a list.

    Args:
        script: path of a Python file; its first argument is `"process index
            processes address"`.
        *arguments: the others.
        processes: int. Defaults to `2`.
        devices: int, the virtual devices of each. Defaults to `4`.
    """
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    with futures.ThreadPoolExecutor(processes) as pool:
        found = [
            pool.submit(
                results_of,
                script,
                f"process {index} {processes} {address}",
                *arguments,
                devices=devices,
            )
            for index in range(processes)
        ]
        return [each.result() for each in found]
