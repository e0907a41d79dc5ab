"""Kills training processes at random moments, and starts them again."""

import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest

SCRIPT = pathlib.Path(__file__).with_name("killed_run.py")
NUM_KILLS = 30


def start(folder):
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])}
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder)], env=environment
    )


def newest(folder):
    """The name of the newest checkpoint; an empty one before there is one."""
    names = (path.name for path in (folder / "checkpoints").glob("epoch_*"))
    # `.` comes before `_` in the alphabet: the end of an epoch is the first.
    return max(names, default="")


def killed_at_random(process, folder, rng):
    """Kills a process some time after its first checkpoint; whether it did."""
    seen = newest(folder)
    # So that every process gets a little further.
    while process.poll() is None and newest(folder) == seen:
        time.sleep(0.001)
    time.sleep(rng.uniform(0.0, 0.05))
    if process.poll() is None:
        process.kill()
    return process.wait() != 0


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_where_another_does(tmp_path):
    assert start(tmp_path / "at_once").wait() == 0
    rng = np.random.default_rng()
    folder, left = tmp_path / "killed", []
    for _ in range(NUM_KILLS):
        assert killed_at_random(start(folder), folder, rng)
        unfinished = list((folder / "checkpoints").glob(".*"))
        left.append((newest(folder), len(unfinished)))
    assert start(folder).wait() == 0
    print(f"Killed after: {left}")
    # Some kills came in the middle of an epoch, some while a file was written.
    assert any("batch" in name for name, _ in left)
    assert not list((folder / "checkpoints").glob(".*"))
    names = ("at_once", "killed")
    one, two = (np.load(tmp_path / name / "final.npz") for name in names)
    assert one.files == two.files
    for name in one.files:
        np.testing.assert_array_equal(one[name], two[name])
