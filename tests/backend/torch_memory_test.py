import platform
import subprocess
import sys

import keras
import pytest

if keras.backend.backend() != "torch" or platform.libc_ver()[0] != "glibc":
    pytest.skip("PyTorch on Linux", allow_module_level=True)

# In a process of its own, where nothing else has been given back before.
PROGRAM = """
import resource
import torch
import keras_drift

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def turn():
    blocks = [torch.ones(2**19) for _ in range(6)]

for _ in range(3):
    turn()
before = faults()
for _ in range(20):
    turn()
print(faults() - before)
"""


def test_memory_of_blocks_is_not_asked_for_again():
    printed = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    # All of it, 20 times 12 MiB in pages of 4 KiB, would be 61,440 of them.
    assert int(printed) < 1000
