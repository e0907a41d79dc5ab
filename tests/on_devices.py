"""Runs a script of cases on several virtual devices, in a process of its own.

The number of devices of a process is decided before its first computation.
"""

import json
import os
import subprocess
import sys


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
