import hashlib
import shutil

import pytest

from contracts import numpy
from hub_stand_in import COMMIT
from keras_drift import DriftModel
from keras_drift import generators
from keras_drift.presets import handles

pytest.importorskip("huggingface_hub")


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def add_to_hub_cache(cache, preset):
    repository = cache / "models--owner--name"
    snapshot = repository / "snapshots" / COMMIT
    for path in (repository / "blobs", repository / "refs", snapshot):
        path.mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    for path in preset.iterdir():
        blob = hashlib.sha256(path.read_bytes()).hexdigest()
        shutil.copy(path, repository / "blobs" / blob)
        (snapshot / path.name).symlink_to(repository / "blobs" / blob)
    return snapshot


@pytest.fixture(scope="module")
def model():
    return DriftModel(generators.MLP(2, hidden_dims=(8,)))


@pytest.mark.parametrize(
    "handle", ["hf://owner/name", f"hf://owner/name@{COMMIT}"]
)
def test_preset_on_the_hub_is_loaded(model, hub_cache, tmp_path, handle):
    model.save_to_preset(tmp_path / "mine")
    snapshot = add_to_hub_cache(hub_cache, tmp_path / "mine")
    assert handles.resolve(handle) == snapshot
    copy = DriftModel.from_preset(handle)
    assert (
        numpy(copy.generator.variables[0])
        == numpy(model.generator.variables[0])
    ).all()


def test_altered_preset_on_the_hub_is_refused(model, hub_cache, tmp_path):
    model.save_to_preset(tmp_path / "mine")
    snapshot = add_to_hub_cache(hub_cache, tmp_path / "mine")
    with (snapshot / "model.weights.h5").open("r+b") as file:
        file.seek(-8, 2)
        file.write(b"\1\2\3\4")
    with pytest.raises(ValueError, match=r"`model\.weights\.h5`.*altered"):
        DriftModel.from_preset("hf://owner/name")


def test_without_network_says_what_is_missing(hub_cache):
    with pytest.raises(ConnectionError, match=r"`config\.json`.*'owner/name'"):
        DriftModel.from_preset("hf://owner/name")


def test_a_check_fetches_nothing(hub_cache, model, tmp_path):
    for handle in ("digits_dit", "mae_latent_640", "hf://owner/name", tmp_path):
        handles.check(handle)
    with pytest.raises(ValueError, match="Did you mean 'mae_latent_640'"):
        handles.check("mae_latent_641")
    with pytest.raises(ValueError, match="'hf://owner/name'"):
        handles.check("hf://name")
    model.save_to_preset(tmp_path / "mine", encoder="hf://owner/name")
    loaded = DriftModel.from_preset(tmp_path / "mine")
    assert loaded.encoder.handle == "hf://owner/name"


@pytest.mark.parametrize("name", ["mae_latent_640", "hf://owner/name"])
def test_names_of_others_are_refused_for_new_presets(model, name):
    with pytest.raises(ValueError, match="Choose another name, or a path"):
        model.save_to_preset(name)
