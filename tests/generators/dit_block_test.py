import numpy as np
import pytest

from contracts import copy_of
from contracts import numpy
from keras_drift.generators.dit_block import DiTBlock


@pytest.fixture
def inputs():
    rng = np.random.default_rng(1)
    sizes = ((2, 5, 8), (2, 6))
    return [rng.normal(size=size).astype("float32") for size in sizes]


def built(**changes):
    block = DiTBlock(8, num_heads=2, **changes)
    block.build((2, 5, 8), (2, 6))
    return block


def test_fresh_one_changes_nothing(inputs):
    np.testing.assert_array_equal(numpy(built()(*inputs)), inputs[0])


@pytest.mark.parametrize("use_rmsnorm", [True, False])
def test_shifts_scales_and_gates_in_the_published_order(
    use_rmsnorm, inputs, randomized
):
    block = randomized(built(use_rmsnorm=use_rmsnorm))
    x, condition = inputs
    kernel, bias = block.modulation.dense.get_weights()
    active = condition / (1 + np.exp(-condition))
    vectors = (active @ kernel + bias).reshape(2, 6, 1, 8)
    for part, norm, start in (
        (block.attention, block.attention_norm, 0),
        (block.feed_forward, block.feed_forward_norm, 3),
    ):
        shift, scale, gate = vectors[:, start : start + 3].swapaxes(0, 1)
        normed = normalized(x, norm) * (1 + scale) + shift
        x = x + gate * numpy(part(normed.astype("float32")))
    np.testing.assert_allclose(numpy(block(*inputs)), x, atol=2e-5)


def normalized(x, norm):
    if not norm.variables:
        x = x - x.mean(axis=-1, keepdims=True)
    scale = norm.get_weights()[0] if norm.variables else 1
    return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-6) * scale


def test_copy_computes_the_same(inputs, randomized):
    switches = ("use_rmsnorm", "use_qknorm", "use_swiglu", "use_rope")
    block = randomized(built(mlp_ratio=3.0, **dict.fromkeys(switches, False)))
    copy = copy_of(block)
    copy.set_weights(block.get_weights())
    np.testing.assert_array_equal(numpy(copy(*inputs)), numpy(block(*inputs)))
    assert block.compute_output_shape((None, 5, 8), (None, 6)) == (None, 5, 8)
