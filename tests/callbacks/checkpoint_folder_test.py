import contextlib
import errno
import os
import pathlib
import shutil
import tempfile
import threading

import full_disk
import numpy as np
import pytest

import user_line
from keras_drift.callbacks.checkpoint_folder import CheckpointFolder


class Slow(dict):
    """A state that is not written before `event` is set."""

    def __init__(self, event, **items):
        super().__init__(**items)
        self.event = event

    def items(self):
        assert self.event.wait(60)
        return super().items()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def state(number, size=10):
    return {"weights": [np.full(size, number, "float32")]}


def test_writing_does_not_hold_up_the_caller(tmp_path):
    folder, event = CheckpointFolder(tmp_path, keep=2), threading.Event()
    folder.write((1, 0), Slow(event, **state(1)))
    assert folder.newest() is None
    event.set()
    folder.wait()
    position, found = folder.newest()
    assert position == (1, 0)
    np.testing.assert_array_equal(found["weights"], state(1)["weights"])


def test_a_write_waits_for_the_one_before(tmp_path):
    folder, event = CheckpointFolder(tmp_path, keep=2), threading.Event()
    folder.write((1, 0), Slow(event, **state(1)))
    second = threading.Thread(target=folder.write, args=((2, 0), state(2)))
    second.start()
    second.join(0.2)
    assert second.is_alive()
    assert names(tmp_path) == []
    event.set()
    second.join()
    folder.wait()
    assert names(tmp_path) == ["epoch_000001.npz", "epoch_000002.npz"]


def test_the_newest_files_are_kept_and_damaged_ones_replaced(tmp_path):
    folder = CheckpointFolder(tmp_path, keep=2)
    for epoch in (1, 2, 3, 10):
        folder.write((epoch, 0), state(epoch))
    folder.wait()
    assert names(tmp_path) == ["epoch_000003.npz", "epoch_000010.npz"]
    (tmp_path / "epoch_000010.npz").write_bytes(b"")
    folder.write((4, 0), state(4))
    folder.wait()
    assert names(tmp_path) == ["epoch_000003.npz", "epoch_000004.npz"]


def test_a_failure_is_raised_by_the_next_write_and_once(tmp_path):
    folder = CheckpointFolder(tmp_path, keep=2)
    folder.write((1, 0), state(1))
    folder.wait()
    with full_disk.no_room_for(5000):
        folder.write((2, 0), state(2, size=10_000))
        with pytest.raises(OSError, match="after epoch 2 could not") as error:
            folder.write((3, 0), state(3))
    assert "'epoch_000001.npz' is complete on the disk" in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert error.value.errno == errno.EFBIG
    folder.wait()
    assert names(tmp_path) == ["epoch_000001.npz"]  # nothing unfinished


def test_what_is_no_error_of_the_disk_is_raised_as_it_is(tmp_path):
    folder = CheckpointFolder(tmp_path, keep=2)
    folder.write((1, 0), {"data": object()})
    with pytest.raises(TypeError, match="JSON"):
        folder.wait()


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path):
    folder = CheckpointFolder(tmp_path / "disk" / "run", keep=1)
    (tmp_path / "disk").mkdir()
    with full_disk.mounted(tmp_path / "disk", "size=200k"):
        folder.require_writable()
        folder.write((1, 0), state(1, size=30_000))
        folder.wait()
        folder.write((2, 0), state(2, size=30_000))
        with pytest.raises(OSError, match="No space left on device") as error:
            folder.wait()
        assert error.value.errno == errno.ENOSPC
        assert "'epoch_000001.npz' is complete" in str(error.value)
        assert names(folder.directory) == ["epoch_000001.npz"]
        assert folder.newest()[0] == (1, 0)
        folder.write((3, 0), state(3))  # there is room for a smaller one
        folder.wait()
        assert folder.newest()[0] == (3, 0)


def test_a_read_only_disk_is_refused_at_once(tmp_path):
    folder = CheckpointFolder(tmp_path / "run", keep=1)
    with (
        full_disk.mounted(tmp_path, "ro"),
        pytest.raises(OSError, match=r"Read-only.*Received: directory=.*run"),
    ):
        folder.require_writable()


def test_a_folder_without_the_right_to_write_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with (
        full_disk.as_a_user(),
        pytest.raises(PermissionError, match="Choose another one"),
    ):
        CheckpointFolder(tmp_path, keep=1).require_writable()


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(OSError, match=r"File exists.*run"):
        CheckpointFolder(tmp_path / "run", keep=1).require_writable()


def test_what_a_killed_process_left_is_not_read_and_deleted(tmp_path):
    folder = CheckpointFolder(tmp_path, keep=2)
    left = tmp_path / f".{'0123456789abcdef' * 2}.epoch_000007.npz"
    left.write_bytes(b"half of a checkpoint")
    (tmp_path / ".hidden").write_text("of somebody else")
    assert folder.newest() is None
    folder.write((1, 0), state(1))
    folder.wait()
    assert names(tmp_path) == [".hidden", "epoch_000001.npz"]


def sharded(folder, name, complete=True):
    """A folder like those of several processes, without arrays."""
    (folder / name / "d").mkdir(parents=True)
    (folder / name / "d/0").write_bytes(b"shards")
    if complete:
        (folder / name / "manifest.json").write_text("{}")


def test_folders_count_as_checkpoints_once_they_have_a_manifest(tmp_path):
    sharded(tmp_path, "epoch_000001")
    sharded(tmp_path, "epoch_000001_batch_000003")
    sharded(tmp_path, "epoch_000002", complete=False)
    sharded(tmp_path, "epoch_000003.orbax-checkpoint-tmp")
    complete = CheckpointFolder(tmp_path, keep=2).complete()
    assert {position: path.name for position, path in complete.items()} == {
        (1, 0): "epoch_000001",
        (1, 3): "epoch_000001_batch_000003",
    }


def test_unfinished_and_older_folders_are_deleted(tmp_path):
    sharded(tmp_path, "epoch_000001")
    sharded(tmp_path, "epoch_000002")
    sharded(tmp_path, "epoch_000003", complete=False)
    sharded(tmp_path, "epoch_000003.orbax-checkpoint-tmp-17")
    sharded(tmp_path, "samples")
    folder = CheckpointFolder(tmp_path, keep=2)
    folder.write((3, 0), state(3))
    folder.wait()
    left = ["epoch_000002", "epoch_000003.npz", "samples"]
    assert names(tmp_path) == left


def test_a_file_takes_the_place_of_a_folder(tmp_path):
    sharded(tmp_path, "epoch_000001")
    folder = CheckpointFolder(tmp_path, keep=2)
    folder.write((1, 0), state(1))
    folder.wait()
    assert folder.newest()[0] == (1, 0)
    assert names(tmp_path) == ["epoch_000001.npz"]


@contextlib.contextmanager
def folder_of_another_user(*names):
    """A folder to write to, whose files, of another user, cannot be deleted."""
    if os.geteuid():
        pytest.skip("only an admin makes files of another user")
    # Others may not enter the folder of `tmp_path`.
    path = pathlib.Path(tempfile.mkdtemp())
    try:
        folder = CheckpointFolder(path, keep=9)
        folder.write((1, 0), state(1))
        folder.wait()
        for name in names:
            (path / name).write_bytes(b"")
        path.chmod(0o1777)
        with full_disk.as_a_user():
            yield path
    finally:
        shutil.rmtree(path)


def test_an_older_file_that_stays_does_not_fail_a_complete_checkpoint():
    with folder_of_another_user() as path:
        folder = CheckpointFolder(path, keep=1)
        folder.write((2, 0), state(2))
        with user_line.warns(r"1 older.*not permitted.*epoch_000001.npz"):
            folder.wait()
        assert folder.newest()[0] == (2, 0)
        # It does not keep others from being deleted.
        with user_line.warns("1 older"):
            folder.write((3, 0), state(3))
            folder.wait()
        assert names(path) == ["epoch_000001.npz", "epoch_000003.npz"]


def test_a_folder_that_stays_is_warned_of(tmp_path, monkeypatch):
    sharded(tmp_path, "epoch_000001")
    folder = CheckpointFolder(tmp_path, keep=1)

    def refuse(path, ignore_errors=False):
        if not ignore_errors:
            raise PermissionError(errno.EPERM, "not permitted", str(path))

    monkeypatch.setattr(shutil, "rmtree", refuse)
    folder.write((2, 0), state(2))
    with user_line.warns(r"1 older.*not permitted.*epoch_000001"):
        folder.wait()
    monkeypatch.undo()
    assert folder.newest()[0] == (2, 0)


def test_an_unfinished_file_that_stays_is_warned_of():
    left = f".{'0123456789abcdef' * 2}.epoch_000007.npz"
    with folder_of_another_user(left) as path:
        folder = CheckpointFolder(path, keep=2)
        with user_line.warns(rf"1 older or unfinished.*{left}"):
            folder.write((2, 0), state(2))
            folder.wait()
        assert folder.newest()[0] == (2, 0)


def test_merge_passes_over_damaged_checkpoints(tmp_path):
    folder = CheckpointFolder(tmp_path, keep=3)
    folder.write((1, 0), state(1))
    folder.wait()
    (tmp_path / "epoch_000002.npz").write_bytes(b"")
    with user_line.warns("epoch_000002.npz.*An older one"):
        assert folder.merge() == tmp_path / "epoch_000001.npz"
    assert names(tmp_path) == ["epoch_000001.npz"]


def test_merge_refuses_a_folder_of_damaged_checkpoints(tmp_path):
    (tmp_path / "epoch_000002.npz").write_bytes(b"")
    with (
        user_line.warns("An older one"),
        pytest.raises(ValueError, match="None of the checkpoints can be read"),
    ):
        CheckpointFolder(tmp_path, keep=3).merge()
    assert names(tmp_path) == ["epoch_000002.npz"]
