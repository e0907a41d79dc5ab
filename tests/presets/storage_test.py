"""Presets in public buckets, from a server on this machine."""

import functools
import http.server
import threading

import numpy as np
import pytest

from keras_drift import DriftModel
from keras_drift import generators
from keras_drift.presets import storage


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """The folder of a bucket, which a server serves."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    monkeypatch.setenv("KERAS_DRIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("urllib.request.getproxies", dict)
    folder = tmp_path / "served"
    (folder / "bucket").mkdir(parents=True)
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setattr(storage, "_SERVER", address)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder / "bucket"
        server.shutdown()
        thread.join()


def test_preset_is_downloaded_and_found_again(bucket, tmp_path, capsys):
    model = DriftModel(generators.MLP(2, hidden_dims=(4,)))
    model.save_to_preset(bucket / "a" / "small")
    expected = model.generate(3, seed=0)
    for place in ("there", "gone"):
        copy = DriftModel.from_preset("gs://bucket/a/small")
        np.testing.assert_array_equal(copy.generate(3, seed=0), expected)
        if place == "there":
            (bucket / "a").rename(bucket / "elsewhere")
    assert (tmp_path / "cache/gs/bucket/a/small/config.json").is_file()
    with pytest.raises(ValueError, match=r"no such file.*404"):
        DriftModel.from_preset("gs://bucket/other")
    assert not (tmp_path / "cache/gs/bucket/other/config.json").exists()
