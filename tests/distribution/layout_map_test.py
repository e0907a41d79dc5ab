import json
import math
import pathlib

import keras
import numpy as np
import pytest

import keras_drift
from keras_drift import distribution
from keras_drift import encoders
from keras_drift import generators

SIZES = {"batch": 4, "model": 2}


@pytest.fixture
def mesh():
    devices = [f"cpu:{i}" for i in range(8)]
    return keras.distribution.DeviceMesh((4, 2), ["batch", "model"], devices)


@pytest.fixture(scope="module")
def dit():
    return generators.DiT(
        image_shape=(8, 8, 1),
        num_classes=10,
        patch_size=2,
        hidden_dim=32,
        depth=1,
        num_heads=2,
    )


def axes_of(network, mesh, style):
    layouts = distribution.layout_map(network, mesh, style)
    found = {v.path: layouts[v.path] for v in network.variables}
    return {path: layout and layout.axes for path, layout in found.items()}


def test_tensors_are_cut_by_outputs_then_by_inputs(dit, mesh):
    axes = axes_of(dit, mesh, "tensor")
    assert axes["block_0/attention/to_qkv/kernel"] == (None, "model")
    assert axes["block_0/attention/to_qkv/bias"] == ("model",)
    assert axes["block_0/attention/project/kernel"] == ("model", None)
    assert axes["block_0/attention/project/bias"] is None
    assert axes["block_0/feed_forward/gate/kernel"] == (None, "model")
    assert axes["block_0/feed_forward/down/kernel"] == ("model", None)
    assert axes["block_0/attention_norm/scale"] is None


def test_fully_sharded_variables_are_cut_along_their_longest_axis(dit, mesh):
    axes = axes_of(dit, mesh, "fsdp")
    assert axes["block_0/attention/to_qkv/kernel"] == (None, "batch")
    assert axes["block_0/feed_forward/down/kernel"] == ("batch", None)
    assert axes["block_0/attention_norm/scale"] == ("batch",)


def test_both_styles_cut_different_axes(dit, mesh):
    axes = axes_of(dit, mesh, "both")
    assert axes["block_0/attention/to_qkv/kernel"] == ("batch", "model")
    assert axes["block_0/attention/project/kernel"] == ("model", "batch")


@pytest.mark.parametrize("style", ["fsdp", "tensor", "both"])
def test_devices_divide_all_that_is_cut(dit, mesh, style):
    encoder = encoders.MAEResNet(3, base_channels=6, num_blocks=(1, 1, 1, 1))
    encoders.build(encoder, (32, 32, 3))
    for network in (dit, encoder):
        axes = axes_of(network, mesh, style)
        assert any(axes.values())
        for variable in network.variables:
            cuts = axes[variable.path] or ()
            for size, axis in zip(variable.shape, cuts, strict=False):
                assert axis is None or size % SIZES[axis] == 0


def small_encoder():
    encoder = encoders.MAEResNet(1, base_channels=8, num_blocks=(1, 1, 1, 1))
    encoders.build(encoder, (32, 32, 1))
    return encoder


def class_mlp():
    return generators.MLP(2, hidden_dims=(8,), num_classes=3)


@pytest.mark.parametrize("make", [small_encoder, class_mlp])
def test_layouts_are_those_of_every_copy_of_a_network(mesh, make):
    # Keras numbers what has no name: a layout that is never found cuts nothing.
    first, second = make(), make()
    layouts = distribution.layout_map(first, mesh)
    assert len(layouts) > 4
    for one, other in zip(first.variables, second.variables, strict=True):
        assert layouts[one.path] == layouts[other.path]


def test_an_eighth_of_the_published_generator_is_on_each_of_eight_devices():
    # DiT L/2, whose 24 blocks are alike: the sizes of one and of two tell.
    devices = [f"cpu:{i}" for i in range(8)]
    mesh = keras.distribution.DeviceMesh((8,), ["batch"], devices)
    sizes = []
    for depth in (1, 2):
        config = {**l2_config(), "depth": depth}
        network = generators.DiT.from_config(config)
        layouts = distribution.layout_map(network, mesh)
        sizes.append(
            distribution.layout_summary(
                network, layouts, num_slots=3, print_fn=lambda line: None
            )
        )
    first, second = np.array(sizes)
    per_device, total = first + 23 * (second - first)
    assert total == 4 * 4 * 462_909_456
    assert per_device / total <= 1 / 7


def l2_config():
    root = pathlib.Path(keras_drift.__file__).parent
    path = root / "presets" / "dit_l2_latent" / "config.json"
    return json.loads(path.read_text())["config"]


def test_names_what_is_wrong(dit, mesh):
    with pytest.raises(ValueError, match=r"`style` must be one of 'fsdp'"):
        distribution.layout_map(dit, mesh, "fully")
    with pytest.raises(TypeError, match=r"`mesh` says how.*mesh=8"):
        distribution.layout_map(dit, 8)
    with pytest.raises(ValueError, match=r"Build it first.*Sequential"):
        distribution.layout_map(keras.Sequential(), mesh)
    line = keras.distribution.DeviceMesh((2,), ["batch"], ["cpu:0", "cpu:1"])
    with pytest.raises(ValueError, match=r"second axis.*\(2,\)"):
        distribution.layout_map(dit, line, "tensor")


def test_summary_counts_what_a_device_holds(dit, mesh):
    lines = []
    layouts = distribution.layout_map(dit, mesh, "both")
    per_device, total = distribution.layout_summary(
        dit, layouts, num_slots=2, print_fn=lines.append
    )
    numbers = sum(math.prod(v.shape) for v in dit.variables)
    assert total == 3 * 4 * numbers
    assert len(lines) == len(dit.variables) + 2
    axes = axes_of(dit, mesh, "both")
    by_hand = sum(
        12
        * math.prod(v.shape)
        // math.prod(SIZES[a] for a in axes[v.path] or () if a)
        for v in dit.variables
    )
    assert per_device == by_hand
