import hashlib
import os

import numpy as np
import pytest

from keras_drift.datasets.latents import shard_files

pytestmark = pytest.mark.backend_free


@pytest.fixture
def record(tmp_path):
    return shard_files.write_array(tmp_path / "a.npy", np.arange(12.0))


def test_record_is_that_of_the_file(tmp_path, record):
    content = (tmp_path / "a.npy").read_bytes()
    assert record == {
        "file": "a.npy",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.arange(12.0))
    assert shard_files.damage(tmp_path, record, thorough=True) is None


def test_says_what_is_wrong_with_a_file(tmp_path, record):
    path = tmp_path / "a.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # one bit, in a file of the same size
    path.write_bytes(content)
    assert shard_files.damage(tmp_path, record, thorough=False) is None
    assert "sha256" in shard_files.damage(tmp_path, record, thorough=True)
    path.write_bytes(content[:-3])
    size = f"{len(content) - 3} bytes instead of {len(content)}"
    assert size in shard_files.damage(tmp_path, record, thorough=False)
    path.unlink()
    assert "not exist" in shard_files.damage(tmp_path, record, thorough=False)


def test_a_failed_write_leaves_what_was_there(tmp_path, record, monkeypatch):
    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        shard_files.write_array(tmp_path / "a.npy", np.zeros(3))
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]
    assert shard_files.damage(tmp_path, record, thorough=True) is None


def test_manifest_survives(tmp_path):
    assert shard_files.read_manifest(tmp_path) is None
    shard_files.write_manifest(tmp_path, {"shards": [None, {"file": "a"}]})
    assert shard_files.read_manifest(tmp_path) == {
        "shards": [None, {"file": "a"}]
    }
    (tmp_path / "manifest.json").write_text('{"shards": [')
    with pytest.raises(ValueError, match=r"damaged.*manifest\.json"):
        shard_files.read_manifest(tmp_path)
