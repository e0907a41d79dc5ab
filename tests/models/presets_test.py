import json
import os

import keras
import numpy as np
import pytest

from keras_drift import DriftModel
from keras_drift import drifts
from keras_drift import generators
from keras_drift import kernels
from keras_drift.models import presets


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    return DriftModel(
        generators.MLP(2, hidden_dims=(8,)),
        drifts.KernelDrift(kernels.Gaussian([0.1, 0.5])),
        seed=5,
    )


def test_preset_draws_what_the_model_drew(model, tmp_path):
    model.drift.anneal(0.25)
    model.save_to_preset(tmp_path / "mine", {"description": "points"})
    copy = DriftModel.from_preset(tmp_path / "mine")
    np.testing.assert_array_equal(
        model.generate(4, seed=0), copy.generate(4, seed=0)
    )
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(copy.drift.bandwidth), [0.05, 0.25]
    )
    metadata = json.loads((tmp_path / "mine/metadata.json").read_text())
    assert metadata["description"] == "points"
    assert metadata["num_parameters"] == model.generator.count_params()


def test_preset_holds_no_optimizer(model, tmp_path):
    size = {}
    for name in ("before", "after"):
        model.save_to_preset(tmp_path / name)
        size[name] = (tmp_path / name / "model.weights.h5").stat().st_size
        model.compile(keras.optimizers.Adam(use_ema=True))
        model.fit(np.zeros((8, 2), "float32"), verbose=0)
    assert size["before"] == size["after"]


def test_failed_save_leaves_the_last_good_preset(model, tmp_path, monkeypatch):
    model.save_to_preset(tmp_path / "mine")
    before = model.generate(3, seed=0)
    model.generator.set_weights(
        [np.ones(w.shape) for w in model.generator.get_weights()]
    )
    with pytest.raises(TypeError):
        model.save_to_preset(tmp_path / "mine", {"not JSON": object()})

    def disk_full(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr(keras.Model, "save_weights", disk_full)
    with pytest.raises(OSError, match="No space"):
        model.save_to_preset(tmp_path / "mine")
    assert os.listdir(tmp_path) == ["mine"]
    copy = DriftModel.from_preset(tmp_path / "mine")
    np.testing.assert_array_equal(before, copy.generate(3, seed=0))


def test_saving_twice_replaces_the_preset(model, tmp_path):
    for seed in (0, 1):
        keras.utils.set_random_seed(seed)
        model.generator.set_weights(
            [np.full(w.shape, seed) for w in model.generator.get_weights()]
        )
        model.save_to_preset(tmp_path / "mine")
    copy = DriftModel.from_preset(str(tmp_path / "mine"))
    np.testing.assert_array_equal(
        model.generate(3, seed=0), copy.generate(3, seed=0)
    )
    assert os.listdir(tmp_path) == ["mine"]


def test_does_not_replace_a_folder_of_other_things(model, tmp_path):
    (tmp_path / "thesis.tex").write_text("chapter one")
    with pytest.raises(ValueError, match="holds other things"):
        model.save_to_preset(tmp_path)


@pytest.mark.parametrize(
    "name", [presets.CONFIG, presets.WEIGHTS, presets.METADATA]
)
def test_names_a_missing_file(model, tmp_path, name):
    model.save_to_preset(tmp_path / "mine")
    (tmp_path / "mine" / name).unlink()
    with pytest.raises(ValueError, match=f"`{name}` is missing"):
        DriftModel.from_preset(tmp_path / "mine")


@pytest.mark.parametrize(
    "name", [presets.CONFIG, presets.WEIGHTS, presets.METADATA]
)
def test_names_a_damaged_file(model, tmp_path, name):
    model.save_to_preset(tmp_path / "mine")
    path = tmp_path / "mine" / name
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=f"`{name}`.*damaged"):
        DriftModel.from_preset(tmp_path / "mine")


def test_names_a_preset_that_is_not_there():
    with pytest.raises(ValueError, match=r"path of a folder.*digits_dit"):
        DriftModel.from_preset("digit_dit")
    with pytest.raises(ValueError, match="Did you mean 'digits_dit'"):
        DriftModel.from_preset("digits_di")
