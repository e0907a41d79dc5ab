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


def num_epochs(folder):
    path = folder / "epochs.txt"
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_where_another_does(tmp_path):
    assert start(tmp_path / "at_once").wait() == 0
    rng = np.random.default_rng()
    folder, kills = tmp_path / "killed", 0
    while True:
        process = start(folder)
        seen = num_epochs(folder)
        # From the first epoch on, so that every process gets a little further.
        while process.poll() is None and num_epochs(folder) == seen:
            time.sleep(0.001)
        if kills < NUM_KILLS and process.poll() is None:
            time.sleep(rng.uniform(0.0, 0.03))
            process.kill()
            kills += 1
        if process.wait() == 0:
            break
    assert kills == NUM_KILLS
    names = ("at_once", "killed")
    one, two = (np.load(tmp_path / name / "final.npz") for name in names)
    assert one.files == two.files
    for name in one.files:
        np.testing.assert_array_equal(one[name], two[name])
