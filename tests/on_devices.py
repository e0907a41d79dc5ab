"""Runs a script of cases on several virtual devices, in a process of its own.

The number of devices of a process is decided before its first computation.
"""

import json
import os
import subprocess
import sys
from concurrent import futures

import launchers


def results_of(script, *arguments, devices=8):
    """What a script prints as JSON in its last line.

    Args:
        script: path of a Python file.
        *arguments: for the script.
        devices: int, the number of virtual CPU devices. Defaults to `8`.
    """
    result = subprocess.run(
        [sys.executable, str(script), *arguments],
        env=_environment(devices),
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
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
    with futures.ThreadPoolExecutor(processes) as pool:
        found = [
            pool.submit(results_of, script, name, *arguments, devices=devices)
            for name in _names(processes)
        ]
        return [each.result() for each in found]


def start_processes(script, *arguments, processes=2, devices=4):
    """Starts what `results_of_processes` waits for.

    Returns:
        A list of `subprocess.Popen`.
    """
    return [
        subprocess.Popen(
            [sys.executable, str(script), name, *arguments],
            env=_environment(devices),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name in _names(processes)
    ]


def _names(processes):
    """The first arguments of the processes of a run."""
    (port,) = launchers.free_ports(1)
    address = f"127.0.0.1:{port}"
    return [f"process {i} {processes} {address}" for i in range(processes)]


def _environment(devices):
    flags = os.environ.get("XLA_FLAGS", "")
    flags += f" --xla_force_host_platform_device_count={devices}"
    return {**os.environ, "XLA_FLAGS": flags}
