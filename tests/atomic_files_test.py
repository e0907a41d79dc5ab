import os

import pytest

from keras_drift.atomic_files import write_atomically
from keras_drift.atomic_files import write_bytes

pytestmark = pytest.mark.backend_free


def test_a_file_that_was_interrupted_is_absent(tmp_path):
    def write(path):
        path.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file", write)
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_the_file_before(tmp_path):
    write_bytes(tmp_path / "file", b"old")

    def write(path):
        path.write_bytes(b"half")
        raise OSError

    with pytest.raises(OSError):
        write_atomically(tmp_path / "file", write)
    assert (tmp_path / "file").read_bytes() == b"old"


def test_what_is_synced_is_on_the_disk_before_it_has_its_name(
    tmp_path, monkeypatch
):
    events = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda f: (events.append("sync"), fsync(f))
    )
    monkeypatch.setattr(
        os, "replace", lambda a, b: (events.append("name"), replace(a, b))
    )
    write_bytes(tmp_path / "a", b"1")
    write_bytes(tmp_path / "b", b"2", synced=True)
    assert events == ["name", "sync", "name"]
    assert (tmp_path / "b").read_bytes() == b"2"
