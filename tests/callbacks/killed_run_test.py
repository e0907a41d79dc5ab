"""Kills training processes at random moments, and starts them again."""

import multiprocessing
import os
import pathlib
import time

import killed_run
import numpy as np
import pytest

NUM_KILLS = 30


@pytest.fixture
def start(monkeypatch):
    """Starts a run in a process of its own, in which nothing has run before.

    It is forked from a server that has imported the library and done nothing
    else: imports take longer than these runs.
    """
    tests = pathlib.Path(killed_run.__file__).parent
    path = os.pathsep.join([str(tests), str(tests.parent)])
    monkeypatch.setenv("PYTHONPATH", path)
    context = multiprocessing.get_context("forkserver")
    # Keras imports TensorFlow in `fit`, where it is there.
    context.set_forkserver_preload(["killed_run", "tensorflow"])

    def start(folder):
        folder.mkdir(exist_ok=True)
        process = context.Process(target=killed_run.main, args=(folder,))
        process.start()
        return process

    return start


def newest(folder):
    """The name of the newest checkpoint; an empty one before there is one."""
    names = (path.name for path in (folder / "checkpoints").glob("epoch_*"))
    # `.` comes before `_` in the alphabet: the end of an epoch is the first.
    return max(names, default="")


def kill_at_random(process, folder, rng):
    """Kills a process some time after its first checkpoint."""
    seen = newest(folder)
    # So that every process gets a little further.
    while process.is_alive() and newest(folder) == seen:
        time.sleep(0.001)
    time.sleep(rng.uniform(0.0, 0.03))
    process.kill()
    process.join()


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_where_another_does(
    tmp_path, start
):
    at_once = start(tmp_path / "at_once")
    rng = np.random.default_rng()
    folder, left = tmp_path / "killed", []
    for _ in range(NUM_KILLS):
        process = start(folder)
        kill_at_random(process, folder, rng)
        assert process.exitcode < 0  # it was not at its end
        unfinished = list((folder / "checkpoints").glob(".*"))
        left.append((newest(folder), len(unfinished)))
    print(f"Killed after: {left}")
    for process in (at_once, start(folder)):
        process.join()
        assert process.exitcode == 0
    # Some kills came after a checkpoint in the middle of an epoch.
    assert any("batch" in name for name, _ in left)
    assert not list((folder / "checkpoints").glob(".*"))
    names = ("at_once", "killed")
    one, two = (np.load(tmp_path / name / "final.npz") for name in names)
    assert one.files == two.files
    for name in one.files:
        np.testing.assert_array_equal(one[name], two[name])
