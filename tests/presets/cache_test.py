import concurrent.futures
import time

import pytest

from keras_drift.presets import cache
from keras_drift.presets import files

pytestmark = pytest.mark.backend_free

pytest.importorskip("filelock")


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_DRIFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_place_is_that_of_the_environment(root, monkeypatch, tmp_path):
    assert cache.root() == root
    monkeypatch.delenv("KERAS_DRIFT_CACHE")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    assert cache.root() == tmp_path / "home/keras_drift/presets"
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.root() == tmp_path / ".keras/keras_drift/presets"


def test_preset_is_made_once_by_many_at_once(root):
    made = []

    def make(folder):
        made.append(folder)
        time.sleep(0.1)
        folder.mkdir()
        for name in (files.CONFIG, files.WEIGHTS, files.METADATA):
            (folder / name).write_text("{}")

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(cache.preset, "name", make) for _ in range(4)]
        folders = {job.result() for job in jobs}
    assert made == [root / "name"]
    assert folders == {root / "name"}


def test_incomplete_preset_is_made_again(root):
    (root / "name").mkdir(parents=True)
    (root / "name" / files.CONFIG).touch()
    made = []
    cache.preset("name", made.append)
    assert made == [root / "name"]


def test_failure_is_no_preset(root):
    def make(folder):
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        cache.preset("name", make)
    assert not (root / "name").exists()
