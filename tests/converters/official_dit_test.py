import json

import numpy as np
import pytest

import golden as golden_data
from contracts import numpy
from keras_drift import generators
from keras_drift.converters import official_dit
from released_shapes import released_shapes

TINY = {
    "cond_dim": 12,
    "num_classes": 3,
    "noise_classes": 4,
    "noise_coords": 2,
    "input_size": 4,
    "in_channels": 1,
    "n_cls_tokens": 2,
    "hidden_size": 8,
    "depth": 1,
    "num_heads": 2,
    "out_channels": 2,
    "patch_size": 2,
    "mlp_ratio": 4.0,
    "use_qknorm": True,
    "use_swiglu": True,
    "use_rope": True,
    "use_rmsnorm": True,
    "use_bf16": True,
    "attn_fp32": False,
    "use_remat": True,
}
METADATA = {"kind": "gen", "model_config": TINY}


@pytest.fixture(scope="module")
def network():
    return generators.DiT(**official_dit.config_of(METADATA))


@pytest.fixture
def params():
    rng = np.random.default_rng(0)
    return {
        name: rng.normal(size=shape).astype("float32")
        for name, shape in released_shapes(TINY).items()
    }


@pytest.mark.parametrize(
    "case", ["latent", "layernorm_mixed", "pixel", "plain"]
)
def test_shapes_of_these_tests_are_those_of_the_release(case):
    folder = golden_data.find(f"generator/{case}")
    config = json.loads((folder / "metadata.json").read_text())["model_config"]
    tree = json.loads((folder / "params_tree.json").read_text())
    shapes = {name: tuple(leaf["shape"]) for name, leaf in tree.items()}
    assert released_shapes(config) == shapes


def test_every_argument_is_taken_over(network):
    config = network.get_config()
    assert config["image_shape"] == [4, 4, 2]
    assert config["noise_channels"] == 1
    assert config["num_style_tokens"] == 2
    assert config["style_codebook_size"] == 4
    assert config["num_context_tokens"] == 2
    assert (config["hidden_dim"], config["cond_dim"]) == (8, 12)
    assert not config["float32_attention"]
    assert config["remat"]


def test_what_is_not_said_is_the_default_of_the_release():
    config = official_dit.config_of({"model_config": {"cond_dim": 8}})
    assert config == {
        "cond_dim": 8,
        "depth": 28,
        "float32_attention": True,
        "hidden_dim": 1152,
        "image_shape": [32, 32, 3],
        "mlp_ratio": 4.0,
        "noise_channels": 3,
        "num_classes": 1001,
        "num_context_tokens": 0,
        "num_heads": 16,
        "patch_size": 2,
        "remat": False,
        "use_qknorm": False,
        "use_rmsnorm": False,
        "use_rope": False,
        "use_swiglu": False,
    }
    styles = {"cond_dim": 8, "noise_classes": 4}
    config = official_dit.config_of({"model_config": styles})
    assert config["num_style_tokens"] == 1


def test_every_array_is_assigned(network, params):
    assert sum(a.size for a in params.values()) == network.count_params()
    official_dit.assign(network, params)
    weights = {v.path: numpy(v) for v in network.variables}
    name = "LightningDiT_0/blocks_0/SwiGLUFFN_0/TorchLinear_0/Dense_0/kernel"
    found = weights["block_0/feed_forward/gate/kernel"]
    np.testing.assert_array_equal(found, params[name])
    found = weights["condition/styles/embeddings"]
    np.testing.assert_array_equal(found[4:], params["noise_embeds_1/embedding"])
    total = sum(np.abs(w).sum(dtype="float64") for w in weights.values())
    arrays = params.values()
    expected = sum(np.abs(a).sum(dtype="float64") for a in arrays)
    assert total == pytest.approx(expected, rel=1e-12)


def test_names_missing_and_unused_arrays(network, params):
    before = network.get_weights()
    unused = params | {"LightningDiT_0/head": np.zeros(3, "float32")}
    with pytest.raises(ValueError, match=r"not have.*'LightningDiT_0/head'"):
        official_dit.assign(network, unused)
    del params["LightningDiT_0/pos_embed"]
    with pytest.raises(ValueError, match=r"lack .*'LightningDiT_0/pos_embed'"):
        official_dit.assign(network, params)
    after = network.get_weights()
    assert all(map(np.array_equal, before, after))


@pytest.mark.parametrize(
    "name", ["noise_embeds_1/embedding", "RMSNorm_0/weight"]
)
def test_names_the_array_and_both_shapes(name, network, params):
    shape = params[name].shape
    params[name] = np.zeros((7, 7), "float32")
    before = network.get_weights()
    with pytest.raises(ValueError) as error:
        official_dit.assign(network, params)
    assert f"{name!r} has the shape {shape}" in str(error.value)
    assert f"{name}.shape=(7, 7)" in str(error.value)
    assert all(map(np.array_equal, before, network.get_weights()))


def test_refuses_arrays_that_are_no_floats(network, params):
    params["RMSNorm_0/weight"] = np.zeros(12, "int8")
    with pytest.raises(ValueError, match=r"RMSNorm_0/weight\.dtype=int8"):
        official_dit.assign(network, params)


def test_refuses_a_network_without_counterpart(params):
    network = generators.DiT((4, 4, 1), hidden_dim=8, depth=1, num_heads=2)
    with pytest.raises(ValueError, match="no_condition/vector"):
        official_dit.assign(network, params)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"kind": "mae", "model_config": TINY}, "kind='mae'"),
        ({"kind": "gen"}, "type NoneType"),
        ({"model_config": {"depth": 2}}, r"`cond_dim`.*\['depth'\]"),
        ({"model_config": TINY | {"use_moe": True}}, r"\['use_moe'\] are unk"),
    ],
    ids=str,
)
def test_says_what_is_wrong_with_metadata(metadata, message):
    with pytest.raises(ValueError, match=message):
        official_dit.config_of(metadata)
