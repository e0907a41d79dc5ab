import json

import h5py
import keras
import numpy as np
import pytest

from keras_drift import DriftModel
from keras_drift import encoders
from keras_drift import generators
from keras_drift.presets import weight_files
from tiny_autoencoder import TinyAutoencoder

KILOBYTE = 1e-6  # in GB


def dense_model():
    return DriftModel(generators.MLP(2, hidden_dims=(8,)), seed=5)


def shards_of(folder):
    return sorted(path.name for path in folder.glob("model_*.weights.h5"))


def test_large_weights_are_written_to_several_files(tmp_path):
    model = dense_model()
    model.generate(2)
    model.save_to_preset(tmp_path / "mine", max_shard_size=KILOBYTE / 4)
    assert len(shards_of(tmp_path / "mine")) > 1
    assert not (tmp_path / "mine" / weight_files.WEIGHTS).exists()
    copy = DriftModel.from_preset(tmp_path / "mine")
    for one, two in zip(model.get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(copy.seed_generator.state),
        keras.ops.convert_to_numpy(model.seed_generator.state),
    )
    # The next preset in this folder is of one file.
    copy.save_to_preset(tmp_path / "mine", {"sharded": True})
    assert not shards_of(tmp_path / "mine")
    DriftModel.from_preset(tmp_path / "mine")


def test_one_file_is_as_large_as_may_be(tmp_path):
    model = dense_model()
    size = weight_files.num_bytes(model) / 1024**3
    for name, max_shard_size in (("one", size), ("two", size * 0.999)):
        model.save_to_preset(tmp_path / name, max_shard_size=max_shard_size)
    assert not shards_of(tmp_path / "one")
    assert shards_of(tmp_path / "two")


def test_size_counts_all_that_is_saved():
    autoencoder = TinyAutoencoder()
    generator = generators.DiT((4, 4, 4), hidden_dim=8, depth=1, patch_size=2)
    model = DriftModel(generator, autoencoder=autoencoder)
    parts = (generator, autoencoder, model.drift)
    counts = [part.count_params() for part in parts if part.variables]
    # Random states: two uint32 each.
    assert 4 * sum(counts) <= weight_files.num_bytes(model)
    assert weight_files.num_bytes(model) <= 4 * sum(counts) + 64


def test_encoders_have_shards_as_well(tmp_path):
    backbone = keras.Sequential([keras.Input((2,)), keras.layers.Dense(9)])
    encoder = encoders.Pretrained(backbone)
    encoder.build((None, 2))
    encoder.save_to_preset(tmp_path / "mine", max_shard_size=KILOBYTE / 10)
    copy = encoders.Encoder.from_preset(tmp_path / "mine")
    for one, two in zip(encoder.get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("size", [0, -1, float("nan"), float("inf")])
def test_size_of_a_shard_is_checked(tmp_path, size):
    with pytest.raises(ValueError, match=r"`max_shard_size`.*positive"):
        dense_model().save_to_preset(tmp_path / "mine", max_shard_size=size)


def test_missing_shard_is_named(tmp_path):
    folder = tmp_path / "mine"
    dense_model().save_to_preset(folder, max_shard_size=KILOBYTE / 4)
    last = shards_of(folder)[-1]
    (folder / last).unlink()
    with pytest.raises(ValueError, match=f"`{last}` is missing"):
        DriftModel.from_preset(folder)


@pytest.mark.parametrize(
    "name",
    ["../other/model_00000.weights.h5", "/etc/passwd", "model.h5", 3, None],
)
def test_shard_outside_of_the_folder_is_refused(tmp_path, name):
    folder = tmp_path / "mine"
    dense_model().save_to_preset(folder, max_shard_size=KILOBYTE / 4)
    (tmp_path / "other").mkdir()
    for path in folder.glob("model_*"):
        (tmp_path / "other" / path.name).write_bytes(path.read_bytes())
    index = folder / weight_files.INDEX
    content = json.loads(index.read_text())
    key = sorted(content["weight_map"])[-1]
    content["weight_map"][key] = [name]
    index.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"`model\.weights\.json`.*a shard is"):
        DriftModel.from_preset(folder)


def test_file_that_unpacks_to_more_than_the_network_is_refused(tmp_path):
    folder = tmp_path / "mine"
    dense_model().save_to_preset(folder)
    with h5py.File(folder / weight_files.WEIGHTS, "r+") as file:
        # 4 GB of zeros, in a few kilobytes.
        file.create_dataset(
            "layers/bomb/vars/0",
            (1 << 10, 1 << 20),
            "float32",
            chunks=(1, 1 << 20),
            compression="gzip",
        )
    assert (folder / weight_files.WEIGHTS).stat().st_size < 1e5
    with pytest.raises(ValueError, match=r"take 4,294,9.* bytes, and the netw"):
        DriftModel.from_preset(folder)


def test_group_that_holds_itself_is_looked_at_once(tmp_path):
    folder = tmp_path / "mine"
    dense_model().save_to_preset(folder)
    with h5py.File(folder / weight_files.WEIGHTS, "r+") as file:
        file["generator"]["again"] = file["generator"]
    DriftModel.from_preset(folder)
