"""Presets on every hub, through stand-ins of the libraries of the hubs."""

import json

import numpy as np
import pytest

from contracts import numpy
from hub_stand_in import COMMIT
from hub_stand_in import Hub
from keras_drift import DriftModel
from keras_drift import encoders
from keras_drift import generators
from keras_drift.presets import files
from keras_drift.presets import remote

pytest.importorskip("huggingface_hub")
pytest.importorskip("kagglehub")

HANDLES = {
    "hf://owner/name": "owner/name",
    "kaggle://owner/model/keras/small": "owner/model/keras/small",
    "gs://bucket/a/folder": "bucket/a/folder",
}
EACH = pytest.mark.parametrize("handle", HANDLES)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    return Hub(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def model():
    return DriftModel(generators.MLP(2, hidden_dims=(8,)))


def first_weight(layer):
    return numpy(layer.variables[0])


@EACH
@pytest.mark.parametrize("max_shard_size", [10, 3e-7])
def test_preset_is_fetched_once(model, hub, tmp_path, handle, max_shard_size):
    model.save_to_preset(tmp_path / "mine", max_shard_size=max_shard_size)
    hub.add(HANDLES[handle], tmp_path / "mine")
    copy = DriftModel.from_preset(handle)
    np.testing.assert_array_equal(
        first_weight(copy.generator), first_weight(model.generator)
    )
    names = files.file_names(tmp_path / "mine")
    assert (len(names) > 3) == (max_shard_size < 1)
    assert sorted(hub.downloads) == sorted(names)
    hub.online = False
    part = generators.Generator.from_preset(handle)
    assert type(part) is generators.MLP
    np.testing.assert_array_equal(
        first_weight(part), first_weight(model.generator)
    )
    assert sorted(hub.downloads) == sorted(names)


def test_behind_a_proxy_the_hub_is_asked_itself(model, hub, tmp_path):
    hub.proxied = True
    model.save_to_preset(tmp_path / "mine")
    hub.add("owner/name", tmp_path / "mine")
    DriftModel.from_preset("hf://owner/name")
    hub.online = False
    DriftModel.from_preset("hf://owner/name")  # from the cache
    with pytest.raises(ConnectionError, match="is not in the cache"):
        DriftModel.from_preset("hf://owner/other")


@EACH
def test_weights_that_are_not_needed_are_not_fetched(
    model, hub, tmp_path, handle
):
    model.save_to_preset(tmp_path / "mine")
    hub.add(HANDLES[handle], tmp_path / "mine")
    generators.MLP.from_preset(handle, load_weights=False)
    assert hub.downloads == [files.CONFIG, files.METADATA]


@EACH
def test_without_network_says_what_is_missing(hub, handle):
    hub.online = False
    with pytest.raises(ConnectionError, match=r"`config\.json`.*not in the c"):
        DriftModel.from_preset(handle)


@EACH
def test_what_the_hub_does_not_have_is_named(hub, handle):
    with pytest.raises(ValueError, match=r"no such file.*config\.json"):
        encoders.Encoder.from_preset(handle)


@EACH
def test_handles_are_checked_without_fetching(model, hub, tmp_path, handle):
    model.save_to_preset(tmp_path / "mine", encoder=handle)
    copy = DriftModel.from_preset(tmp_path / "mine")
    assert copy.encoder.handle == handle
    assert not hub.downloads
    with pytest.raises(ValueError, match="Choose another name, or a path"):
        model.save_to_preset(handle)


@pytest.mark.parametrize(
    "handle",
    [
        "kaggle://owner/model",
        "kaggle://owner/model/keras/../../other",
        "kaggle://owner/model/keras/small/latest",
        "gs://",
        "gs://bucket/../other",
        "gs://bucket//folder",
        "hf://name",
    ],
)
def test_refuses_what_names_no_preset(hub, handle):
    form = handle.partition(":")[0]
    with pytest.raises(ValueError, match=rf"'{form}://.*Received: preset='"):
        DriftModel.from_preset(handle)
    assert not hub.downloads


def test_all_files_are_of_one_commit(model, hub, tmp_path, monkeypatch):
    model.save_to_preset(tmp_path / "mine")
    hub.add("owner/name", tmp_path / "mine")
    revisions = []
    download = hub.hf_hub_download

    def recorded(*args, revision=None, **options):
        revisions.append(revision)
        return download(*args, revision=revision, **options)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", recorded)
    DriftModel.from_preset("hf://owner/name")
    assert revisions == [None, COMMIT, COMMIT]


def test_newest_cached_version_of_kaggle_is_used_offline(model, hub, tmp_path):
    handle = "kaggle://owner/model/keras/small"
    for version in (2, 10):
        model.save_to_preset(tmp_path / "mine", {"version": version})
        hub.add("owner/model/keras/small", tmp_path / "mine")
        DriftModel.from_preset(f"{handle}/{version}")
    hub.online = False
    for version, address in ((10, handle), (2, f"{handle}/2")):
        folder = remote.fetch(address)
        metadata = json.loads((folder / files.METADATA).read_text())
        assert metadata["version"] == version
    with pytest.raises(ConnectionError, match="could not be reached"):
        remote.fetch(f"{handle}/3")


def test_files_of_two_versions_are_refused(model, tmp_path):
    for name in ("old", "new"):
        model.save_to_preset(tmp_path / name)

    def fetch_one(filename):
        folder = "new" if filename == files.WEIGHTS else "old"
        return tmp_path / folder / filename

    with pytest.raises(ConnectionError, match=r"while it was fetched.*Load it"):
        files.fetch(fetch_one)
