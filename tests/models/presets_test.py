import json
import os

import keras
import numpy as np
import pytest

from keras_drift import DriftModel
from keras_drift import drifts
from keras_drift import encoders
from keras_drift import generators
from keras_drift import kernels
from keras_drift.presets import files as presets


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    return DriftModel(
        generators.MLP(2, hidden_dims=(8,)),
        drifts.KernelDrift(kernels.Gaussian([0.1, 0.5])),
        seed=5,
    )


def test_preset_generates_the_same_samples(model, tmp_path):
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


def test_preset_has_no_optimizer(model, tmp_path):
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


def test_refuses_to_replace_a_folder_with_other_files(model, tmp_path):
    (tmp_path / "thesis.tex").write_text("chapter one")
    with pytest.raises(ValueError, match="holds other files"):
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


def test_names_a_missing_preset():
    with pytest.raises(ValueError, match=r"path of a folder.*digits_dit"):
        DriftModel.from_preset("digit_dit")
    with pytest.raises(ValueError, match="Did you mean 'digits_dit'"):
        DriftModel.from_preset("digits_di")


def test_symbolic_link_to_a_preset_is_kept(model, tmp_path):
    (tmp_path / "disk").mkdir()
    link = tmp_path / "mine"
    link.symlink_to(tmp_path / "disk", target_is_directory=True)
    for _ in range(2):
        model.save_to_preset(link)
    assert link.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["disk", "mine"]
    copy = DriftModel.from_preset(link)
    np.testing.assert_array_equal(
        model.generate(3, seed=0), copy.generate(3, seed=0)
    )


def test_metadata_may_hold_numpy_numbers(model, tmp_path):
    metadata = {"fid": np.float32(1.5), "norms": np.arange(3), "at": tmp_path}
    model.save_to_preset(tmp_path / "mine", metadata)
    read = json.loads((tmp_path / "mine/metadata.json").read_text())
    assert read["fid"] == 1.5
    assert read["norms"] == [0, 1, 2]
    with pytest.raises(TypeError, match=r"`metadata` holds what JSON can"):
        model.save_to_preset(tmp_path / "mine", {"model": model})


def test_generators_and_encoders_have_presets(model, tmp_path):
    model.generator.save_to_preset(tmp_path / "generator")
    for cls in (generators.Generator, generators.MLP):
        copy = cls.from_preset(tmp_path / "generator")
        assert type(copy) is generators.MLP
        for one, two in zip(
            model.generator.get_weights(), copy.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(one, two)
    # A generator from the preset of a model.
    model.save_to_preset(tmp_path / "whole")
    part = generators.MLP.from_preset(tmp_path / "whole")
    np.testing.assert_array_equal(
        part.get_weights()[0], model.generator.get_weights()[0]
    )
    bare = generators.MLP.from_preset(tmp_path / "whole", load_weights=False)
    assert np.any(bare.get_weights()[0] != part.get_weights()[0])
    with pytest.raises(ValueError, match="holds a `DriftModel`, not a `DiT`"):
        generators.DiT.from_preset(tmp_path / "whole")


def test_each_class_lists_its_own_presets():
    assert "digits_dit" in DriftModel.presets
    assert "digits_dit" not in generators.Generator.presets
    # A copy: the registry cannot be changed.
    DriftModel.presets["digits_dit"]["description"] = "mine"
    assert DriftModel.presets["digits_dit"]["description"] != "mine"


def test_released_presets_tell_the_size_of_their_download():
    size = DriftModel.presets["drift_l2_latent_imagenet256"]["download_bytes"]
    parameters = 462_909_456
    assert size == pytest.approx(4 * parameters, rel=1e-3)
    assert encoders.Encoder.presets["mae_latent_640"]["download_bytes"] > 1e10
    # Those in the package are not fetched.
    assert "download_bytes" not in DriftModel.presets["digits_dit"]


def test_preset_of_a_model_follows_the_global_policy(tmp_path):
    generator = generators.MLP(2, hidden_dims=(8,), dtype="mixed_bfloat16")
    model = DriftModel(generator)
    model.save_to_preset(tmp_path / "mine")
    loaded = DriftModel.from_preset(tmp_path / "mine").generator
    assert loaded.dtype_policy.name == "float32"
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").generator
    assert loaded.dtype_policy.name == "mixed_bfloat16"


def test_preset_may_refer_to_its_encoder(tmp_path):
    backbone = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    encoder = encoders.Pretrained(backbone)
    encoder.build((None, 2))
    encoder.save_to_preset(tmp_path / "encoder")
    model = DriftModel(generators.MLP(2, hidden_dims=(8,)), encoder=encoder)
    for reference, name in ((None, "whole"), (tmp_path / "encoder", "light")):
        model.save_to_preset(tmp_path / name, encoder=reference)
    sizes = [
        (tmp_path / name / "model.weights.h5").stat().st_size
        for name in ("whole", "light")
    ]
    assert sizes[1] < sizes[0]
    data = np.random.default_rng(0).normal(size=(16, 2)).astype("float32")
    losses = []
    for name in ("whole", "light"):
        copy = DriftModel.from_preset(tmp_path / name)
        copy.seed = 0
        copy.compile(keras.optimizers.SGD(0.0))
        losses.append(copy.evaluate(data, verbose=0)[0])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    bare = DriftModel.from_preset(tmp_path / "light", load_encoder=False)
    np.testing.assert_array_equal(
        bare.generate(3, seed=0), model.generate(3, seed=0)
    )
    bare.compile("adam")
    with pytest.raises(ValueError, match="load_encoder=True"):
        bare.fit(data, verbose=0)
    with pytest.raises(ValueError, match="path of a folder"):
        model.save_to_preset(tmp_path / "other", encoder="mae_latent_641")


def test_preset_may_refer_to_parts_of_its_encoder(tmp_path):
    backbone = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    encoder = encoders.Pretrained(backbone)
    encoder.build((None, 2))
    encoder.save_to_preset(tmp_path / "encoder")
    missing = encoders.MissingEncoder(tmp_path / "encoder", "Pretrained")
    union = encoders.Union({"part": missing, "all": encoders.Identity()})
    model = DriftModel(generators.MLP(2, hidden_dims=(8,)), encoder=union)
    model.save_to_preset(tmp_path / "light")
    bare = DriftModel.from_preset(tmp_path / "light", load_encoder=False)
    assert [part.handle for part in bare.encoder.missing()] == [missing.handle]
    copy = DriftModel.from_preset(tmp_path / "light")
    assert not copy.encoder.missing()
    features = copy.encoder(np.ones((4, 2), "float32"))
    assert list(features) == ["global", "part_feature_0", "all_samples"]
    for ours, theirs in zip(
        copy.encoder.get_weights(), encoder.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    for name in ("os", "get", "build"):  # two are functions of `encoders`
        with pytest.raises(ValueError, match=f"class_name='{name}'"):
            encoders.MissingEncoder("elsewhere", name)


def test_preset_may_refer_to_the_encoder_of_a_pooled_one(tmp_path):
    backbone = keras.Sequential([keras.Input((4, 4, 1))])
    backbone.add(keras.layers.Conv2D(2, 1))
    part = encoders.Pretrained(backbone)
    part.build((None, 4, 4, 1))
    part.save_to_preset(tmp_path / "encoder")
    missing = encoders.MissingEncoder(tmp_path / "encoder", "Pretrained")
    pooled = encoders.Pooled(missing, means=(2,), stds=(), name="statistics")
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(16)])
    network.add(keras.layers.Reshape((4, 4, 1)))
    generator = generators.Functional(network)
    model = DriftModel(generator, encoder=encoders.Union([pooled]))
    assert model.generate(2, seed=0).shape == (2, 4, 4, 1)
    model.save_to_preset(tmp_path / "light")
    bare = DriftModel.from_preset(tmp_path / "light", load_encoder=False)
    assert [each.handle for each in bare.encoder.missing()] == [missing.handle]
    copy = DriftModel.from_preset(tmp_path / "light", load_encoder=True)
    assert not copy.encoder.missing()
    (found,) = copy.encoder.encoders
    assert found.name == "statistics"
    images = np.ones((2, 4, 4, 1), "float32")
    expected = encoders.Pooled(part, means=(2,), stds=())(images)
    for name, feature in found(images).items():
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(feature),
            keras.ops.convert_to_numpy(expected[name]),
        )


def test_every_missing_encoder_is_a_reference():
    parts = {key: encoders.MissingEncoder(key) for key in ("one", "two")}
    union = encoders.Union(parts)
    model = DriftModel(generators.MLP(2, hidden_dims=(8,)), encoder=union)
    assert model.preset_references == [
        (encoders.Encoder, "one"),
        (encoders.Encoder, "two"),
    ]
