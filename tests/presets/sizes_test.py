"""Presets that name the sizes of published networks, without weights."""

import gc
import json
import math

import keras
import numpy as np
import pytest

from keras_drift import generators
from keras_drift.converters import official_dit
from keras_drift.presets import registry
from released_shapes import released_shapes

# What the release configures for all of its generators on ImageNet.
SHARED = {
    "num_classes": 1000,
    "mlp_ratio": 4.0,
    "use_qknorm": True,
    "use_swiglu": True,
    "use_rope": True,
    "use_rmsnorm": True,
    "n_cls_tokens": 16,
    "noise_classes": 64,
    "noise_coords": 32,
    "use_bf16": True,
}
LATENT = {"input_size": 32, "in_channels": 4, "out_channels": 4}
LATENT |= {"patch_size": 2, "attn_fp32": False}
PIXEL = {"input_size": 256, "in_channels": 3, "out_channels": 3}
PIXEL |= {"patch_size": 16, "attn_fp32": True, "use_remat": True}
BASE, LARGE, HUGE = (
    {
        "cond_dim": width,
        "hidden_size": width,
        "depth": depth,
        "num_heads": heads,
    }
    for width, depth, heads in ((768, 12, 12), (1024, 24, 16), (1152, 28, 16))
)
# The published numbers of parameters, in millions, where there are some.
SIZES = {
    "dit_b2_latent": (LATENT | BASE, 133),
    "dit_l2_latent": (LATENT | LARGE, 463),
    "dit_xl2_latent": (LATENT | HUGE, 679),
    "dit_b16_pixel": (PIXEL | BASE, None),
    "dit_l16_pixel": (PIXEL | LARGE, None),
}
EACH = pytest.mark.parametrize("name", SIZES)


@pytest.fixture(autouse=True, scope="module")
def _cheap_weights():
    """Random numbers for a hundred million weights take seconds."""

    def zeros(self, shape, dtype=None, **kwargs):
        return np.zeros(shape, dtype)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("VarianceScaling", "RandomNormal"):
            patch.setattr(getattr(keras.initializers, name), "__call__", zeros)
        yield


def count(config):
    return sum(math.prod(shape) for shape in released_shapes(config).values())


@EACH
def test_config_is_that_of_the_release(name):
    theirs, _ = SIZES[name]
    config = json.loads((registry.FOLDER / name / "config.json").read_text())
    expected = official_dit.config_of({"model_config": SHARED | theirs})
    ours = {key: config["config"][key] for key in expected}
    if ours["noise_channels"] is None:
        ours["noise_channels"] = ours["image_shape"][-1]
    assert ours == expected
    assert config["registered_name"] == "keras_drift>DiT"


@EACH
def test_number_of_parameters_is_the_published_one(name):
    theirs, millions = SIZES[name]
    number = generators.DiT.presets[name]["num_parameters"]
    assert number == count(SHARED | theirs)
    assert millions in (None, round(number / 1e6))


@EACH
def test_network_has_the_parameters_of_the_release(name):
    # All blocks are alike: one is built instead of up to 28.
    short = generators.DiT.from_preset(name, load_weights=False, depth=1)
    assert short.count_params() == count(SHARED | SIZES[name][0] | {"depth": 1})
    assert short.name == name


def test_whole_network_is_built_by_name():
    network = generators.DiT.from_preset("dit_b2_latent", load_weights=False)
    metadata = generators.DiT.presets["dit_b2_latent"]
    assert network.count_params() == metadata["num_parameters"]
    assert network.sample_shape == (32, 32, 4)


@pytest.mark.slow
@EACH
def test_every_whole_network_is_built_by_name(name):
    network = generators.DiT.from_preset(name, load_weights=False)
    metadata = generators.DiT.presets[name]
    assert network.count_params() == metadata["num_parameters"]
    del network  # gigabytes, in cycles that only the collector finds
    gc.collect()


def test_arguments_are_replaced():
    changes = {"depth": 1, "hidden_dim": 24, "cond_dim": 8, "num_classes": 7}
    network = generators.Generator.from_preset(
        "dit_b2_latent", load_weights=False, remat=True, **changes
    )
    config = network.get_config()
    assert config["remat"]
    assert {name: config[name] for name in changes} == changes
    assert config["num_style_tokens"] == 32


def test_says_that_there_are_no_weights():
    with pytest.raises(ValueError, match=r"without weights.*load_weights=Fals"):
        generators.DiT.from_preset("dit_l2_latent")


def test_names_arguments_that_the_preset_does_not_have():
    with pytest.raises(ValueError, match=r"replace: cond_dim.*ved: widht$"):
        generators.DiT.from_preset("dit_b2_latent", False, widht=8)
    with pytest.raises(ValueError, match="depth, and the preset of a `DriftM"):
        generators.DiT.from_preset("digits_dit", depth=1)
    with pytest.raises(ValueError, match=r"even size.*num_heads=7"):
        generators.DiT.from_preset("dit_b2_latent", False, num_heads=7)
