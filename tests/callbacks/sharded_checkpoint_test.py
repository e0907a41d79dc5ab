"""Checkpoints of runs whose weights no process holds as a whole."""

import pathlib
import sys
import time

import keras
import numpy as np
import pytest

import on_devices
import user_line
from keras_drift import DriftModel
from keras_drift import backend
from keras_drift import callbacks
from keras_drift import generators

SCRIPT = pathlib.Path(__file__).with_name("sharded_checkpoint_cases.py")
ON_JAX = keras.backend.backend() == "jax"

only_on_jax = pytest.mark.skipif(not ON_JAX, reason="JAX shards weights")


def in_two_processes(*arguments):
    """What two processes of four devices return: two dicts of cases."""
    return on_devices.results_of_processes(SCRIPT, *map(str, arguments))


def in_one_process(*arguments):
    return on_devices.results_of(SCRIPT, *map(str, arguments))


def largest_file(folder):
    """The file with most of the shards of the second process."""
    found = (folder / "ocdbt.process_1").rglob("*")
    files = [path for path in found if path.is_file()]
    return max(files, key=lambda path: path.stat().st_size)


def assert_same(found, expected):
    assert found["epoch"] == expected["epoch"]
    for one, other in zip(found["values"], expected["values"], strict=True):
        np.testing.assert_array_equal(one, other)


@only_on_jax
def test_a_stopped_run_goes_on_and_moves_to_other_devices(tmp_path):
    cases = "resume", "restore", "another_model", "whole_state"
    first, second = in_two_processes(tmp_path, *cases)
    for found in (first, second):
        assert found["resume"]["same"]
        assert found["resume"]["epochs"] == [2]
        # Half of all, and the biases that eight devices do not divide.
        assert found["resume"]["share"] < 0.53
        assert "(8, 16) instead of (8, 8)" in found["another_model"]
        assert "dense_0/kernel" in found["another_model"]
        assert "`callbacks.TrainingCheckpoint` saves" in found["whole_state"]
    assert first["resume"]["files"] == ["epoch_000002", "epoch_000003"]
    damaged = largest_file(tmp_path / "at_once/epoch_000003")
    damaged.write_bytes(damaged.read_bytes()[:-1])
    cases = "restore", "restore_on_one_device", "restore_damaged", "go_on"
    found = in_one_process(tmp_path, *cases)
    for name in ("restore", "restore_on_one_device"):
        assert_same(found[name], first["restore"])
    # The data of one process are not taken for those of the first of two.
    assert found["go_on"] == {"epochs": [3], "messages": []}
    assert found["restore_damaged"]["epoch"] == 2
    (message,) = found["restore_damaged"]["messages"]
    assert damaged.name in message


@only_on_jax
@pytest.mark.slow
def test_a_run_goes_on_within_an_epoch(tmp_path):
    for found in in_two_processes(tmp_path, "resume_within_epoch"):
        found = found["resume_within_epoch"]
        assert found["same"]
        assert found["epochs"] == [1, 2]
        assert found["newest"] in (
            "epoch_000001_batch_000001",
            "epoch_000001_batch_000002",
        )


@only_on_jax
@pytest.mark.slow
def test_each_process_goes_on_with_its_own_banks(tmp_path):
    found = in_two_processes(tmp_path, "resume_banks")
    first, second = (each["resume_banks"] for each in found)
    assert first["same"]
    assert second["same"]
    assert len(first["bank"]) == len(second["bank"]) > 0
    assert first["bank"] != second["bank"]


@only_on_jax
@pytest.mark.slow
def test_a_file_of_one_process_is_restored_in_two(tmp_path):
    written = in_one_process(tmp_path, "write_file")["write_file"]
    assert written["files"] == ["epoch_000001.npz"]
    for found in in_two_processes(tmp_path, "restore"):
        assert_same(found["restore"], written)


@only_on_jax
@pytest.mark.slow
def test_a_merged_checkpoint_moves_to_other_backends(tmp_path, monkeypatch):
    in_two_processes(tmp_path, "resume")
    merged = in_one_process(tmp_path, "merge")["merge"]
    assert merged["files"] == ["epoch_000002", "epoch_000003.npz"]
    script = SCRIPT.with_name("merged_checkpoint_case.py")
    for other in ("tensorflow", "torch"):
        monkeypatch.setenv("KERAS_BACKEND", other)
        found = on_devices.results_of(script, str(tmp_path / "stopped"))
        assert_same(found, merged)


@only_on_jax
@pytest.mark.slow
def test_merge_takes_the_one_before_a_damaged_folder(tmp_path):
    in_two_processes(tmp_path, "resume")
    damaged = largest_file(tmp_path / "stopped/epoch_000003")
    damaged.write_bytes(damaged.read_bytes()[:-1])
    merged = in_one_process(tmp_path, "merge")["merge"]
    assert merged["files"] == ["epoch_000002.npz"]
    assert merged["epoch"] == 2
    script = SCRIPT.with_name("merged_checkpoint_case.py")
    found = on_devices.results_of(script, str(tmp_path / "stopped"))
    assert_same(found, merged)


@only_on_jax
@pytest.mark.slow
def test_changed_bits_are_found_by_all_processes(tmp_path):
    in_two_processes(tmp_path, "resume")
    damaged = largest_file(tmp_path / "at_once/epoch_000003")
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    for found in in_two_processes(tmp_path, "restore_damaged"):
        assert found["restore_damaged"]["epoch"] == 2
        (message,) = found["restore_damaged"]["messages"]
        assert damaged.name in message


@only_on_jax
@pytest.mark.slow
def test_a_disk_that_is_full_for_one_process_ends_all_of_them(tmp_path):
    first, second = in_two_processes(tmp_path, "full_disk")
    for found in (first["full_disk"], second["full_disk"]):
        assert "after epoch 2 could not be written" in found["error"]
        assert "'epoch_000001' is complete" in found["error"]
        assert found["epoch"] == 1
    assert "Process 1 has not written" in first["full_disk"]["error"]
    assert "too large" in second["full_disk"]["error"]
    names = [path.name for path in (tmp_path / "full").iterdir()]
    assert names == ["epoch_000001"]


@only_on_jax
@pytest.mark.slow
def test_a_folder_that_one_process_cannot_make_ends_all_of_them(tmp_path):
    first, second = in_two_processes(tmp_path, "no_folder")
    for found in (first["no_folder"], second["no_folder"]):
        assert "after epoch 2 could not be written" in found
    assert "File exists" in first["no_folder"]
    assert "the first process says why" in second["no_folder"]


@only_on_jax
@pytest.mark.slow
def test_a_directory_that_processes_do_not_share_is_refused(tmp_path):
    found = in_two_processes(tmp_path, "resume", "not_shared")
    first, second = (each["not_shared"] for each in found)
    assert "not one that all hosts share" in first["at_first"]
    assert "after epoch 1 could not be written" in second["at_first"]
    for each in (first, second):
        assert "choose a folder that all hosts share" in each["later"]
        assert "[3, -1]" in each["later"]
    assert not list((tmp_path / "host_0").iterdir())


@only_on_jax
@pytest.mark.slow
def test_processes_killed_while_they_save_go_on_from_the_one_before(tmp_path):
    expected = in_two_processes(tmp_path / "at_once", "final")
    folder, seen = tmp_path / "killed", set()
    for _ in range(4):
        processes = on_devices.start_processes(SCRIPT, str(folder), "final")
        deadline = time.monotonic() + 600
        try:
            while not (unfinished(folder) - seen):
                assert all(process.poll() is None for process in processes)
                assert time.monotonic() < deadline
                time.sleep(0.001)
        finally:
            for process in processes:
                process.kill()
                process.wait()
        seen |= unfinished(folder)
    assert seen
    assert in_two_processes(folder, "final") == expected
    assert not unfinished(folder)


def unfinished(folder):
    return {path.name for path in folder.glob("*tmp*")}


@pytest.mark.skipif(ON_JAX, reason="JAX reads them")
def test_other_backends_say_how_to_read_them(tmp_path):
    (tmp_path / "epoch_000001").mkdir()
    (tmp_path / "epoch_000001/manifest.json").write_text("{}")
    model = DriftModel(generators.MLP(2, hidden_dims=(4,)), seed=0)
    model.compile("adam")
    with pytest.raises(ValueError, match=r"KERAS_BACKEND=jax.*`merge`"):
        callbacks.TrainingCheckpoint(tmp_path).restore(model)


@only_on_jax
def test_says_how_to_install_orbax(monkeypatch):
    name = "keras_drift.backend.orbax_checkpoints"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "orbax.checkpoint", None)
    with pytest.raises(ModuleNotFoundError, match=r"keras-drift\[sharded\]"):
        backend.sharded_checkpoints()


MANIFESTS = [
    "",
    "[]",
    "{}",
    '{"files": 1}',
    '{"files": {}}',
    '{"files": {"a": 1}, "variables": {}, "num_processes": 1}',
    '{"files": {}, "variables": {"weights": [1]}, "num_processes": 1}',
]


@only_on_jax
@pytest.mark.parametrize("manifest", MANIFESTS)
def test_a_damaged_manifest_is_named(tmp_path, manifest):
    (tmp_path / "epoch_000001").mkdir()
    (tmp_path / "epoch_000001/manifest.json").write_text(manifest)
    model = DriftModel(generators.MLP(2, hidden_dims=(4,)), seed=0)
    model.compile("adam")
    with (
        user_line.warns(r"damaged: its file 'manifest.json'"),
        pytest.raises(ValueError, match="None of the checkpoints"),
    ):
        callbacks.TrainingCheckpoint(tmp_path).restore(model)


def test_merge_is_the_work_of_one_process(tmp_path, monkeypatch):
    monkeypatch.setattr(backend, "num_processes", lambda: 2)
    with pytest.raises(ValueError, match=r"in one process.*2 processes"):
        callbacks.TrainingCheckpoint(tmp_path).merge()


def test_merge_needs_a_checkpoint(tmp_path):
    with pytest.raises(ValueError, match="no checkpoint in this folder"):
        callbacks.TrainingCheckpoint(tmp_path).merge()
