import itertools
import json

import keras
import numpy as np
import pytest

from contracts import copy_of
from contracts import numpy
from keras_drift import generators
from keras_drift.generators import dit

SWITCHES = ["use_rmsnorm", "use_qknorm", "use_swiglu", "use_rope"]
ALL_SWITCHES = [
    dict(zip(SWITCHES, values, strict=True))
    for values in itertools.product([True, False], repeat=4)
]
PLAIN = {"num_classes": None, "num_style_tokens": 0, "num_context_tokens": 0}
VARIANTS = {
    "noise alone": PLAIN,
    "classes alone, one patch": PLAIN
    | {"num_classes": 3, "image_shape": (3, 3, 1), "patch_size": 3},
    "styles alone, a patch a pixel, width not divisible by four": PLAIN
    | {"num_style_tokens": 2, "image_shape": (2, 3, 1), "patch_size": 1}
    | {"hidden_dim": 10, "num_heads": 1},
    "context from styles, two blocks, wide condition": {"num_classes": None}
    | {"depth": 2, "cond_dim": 12},
    "context from classes, other channels": {"num_style_tokens": 0}
    | {"image_shape": (4, 6, 2), "noise_channels": 3},
}


@pytest.mark.parametrize("switches", ALL_SWITCHES)
def test_copy_draws_the_same(switches, tiny_dit, randomized):
    generator = randomized(tiny_dit(**switches))
    inputs = generator.sample_inputs(3, seed=0)
    samples = numpy(generator(inputs))
    copy = copy_of(generator)
    assert copy.get_config() == generator.get_config()
    copy.set_weights(generator.get_weights())
    np.testing.assert_array_equal(numpy(copy(inputs)), samples)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_draws_float32_of_the_shape_asked_for(changes, tiny_dit, randomized):
    generator = randomized(tiny_dit(**changes))
    inputs = generator.sample_inputs(3, seed=0)
    samples = generator.predict_on_batch(inputs)
    assert samples.shape == (3, *changes.get("image_shape", (4, 6, 1)))
    assert samples.dtype == "float32"
    # The noise of each sample is its own, so no two are alike.
    assert np.all(samples.std(axis=0) > 1e-3)
    copy = copy_of(generator)
    assert copy.get_config() == generator.get_config()
    shapes = [weight.shape for weight in generator.weights]
    assert [weight.shape for weight in copy.weights] == shapes


def test_each_switch_changes_the_network(tiny_dit):
    def kinds(**switches):
        layers = tiny_dit(**switches).get_layer("block_0")._flatten_layers()
        return sorted(type(layer).__name__ for layer in layers)

    all_on = kinds()
    for switch in SWITCHES[:3]:
        assert kinds(**{switch: False}) != all_on


def test_rotation_and_no_rotation_differ(tiny_dit, randomized):
    with_rope = randomized(tiny_dit())
    without = tiny_dit(use_rope=False)
    without.set_weights(with_rope.get_weights())
    inputs = with_rope.sample_inputs(3, seed=0)
    gap = numpy(with_rope(inputs)) - numpy(without(inputs))
    assert np.abs(gap).max() > 1e-3


def test_survives_a_keras_file(tiny_dit, randomized, tmp_path):
    generator = randomized(tiny_dit(name="artist"))
    generator.save(tmp_path / "generator.keras")
    loaded = keras.saving.load_model(tmp_path / "generator.keras")
    assert isinstance(loaded, generators.DiT)
    assert loaded.name == "artist"
    inputs = generator.sample_inputs(3, seed=0)
    np.testing.assert_array_equal(
        numpy(loaded(inputs)), numpy(generator(inputs))
    )


def test_draws_the_same_when_compiled(tiny_dit, randomized):
    generator = randomized(tiny_dit())
    inputs = generator.sample_inputs(3, seed=0)
    compiled = generator.predict(inputs, batch_size=3, verbose=0)
    np.testing.assert_allclose(compiled, numpy(generator(inputs)), atol=1e-5)


def in_policy(policy, build):
    """What is built under a global dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return build()
    finally:
        keras.config.set_dtype_policy(before)


def test_the_dtype_policy_is_an_argument_and_saved(tmp_path, tiny_dit):
    before = keras.config.dtype_policy()
    half = tiny_dit(dtype="mixed_bfloat16")
    assert keras.config.dtype_policy() == before
    half.save(tmp_path / "half.keras")
    loaded = keras.saving.load_model(tmp_path / "half.keras")
    for generator in (half, copy_of(half), loaded):
        assert generator.dtype_policy.name == "mixed_bfloat16"
        block = generator.get_layer("block_0")
        assert block.attention.to_qkv.compute_dtype == "bfloat16"
    assert loaded.get_config() == half.get_config()
    # Presets are for machines of all kinds: they follow the global policy.
    half.save_to_preset(tmp_path / "preset")
    for options, dtype in (
        ({}, "float32"),
        ({"dtype": "mixed_float16"}, "float16"),
    ):
        loaded = generators.DiT.from_preset(tmp_path / "preset", **options)
        assert loaded.get_layer("block_0").compute_dtype == dtype


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_draws_float32_in_half_precision(policy, tiny_dit, randomized):
    full = randomized(tiny_dit())
    inputs = full.sample_inputs(3, seed=0)
    expected = numpy(full(inputs))
    drawn = []
    for in_float32 in (True, False):
        changes = {"float32_attention": in_float32}
        half = in_policy(policy, lambda: tiny_dit(**changes))  # noqa: B023
        half.set_weights(full.get_weights())
        samples = half.predict_on_batch(inputs)
        assert samples.dtype == "float32"
        compute_dtype = half.get_layer("block_0").compute_dtype
        assert policy == f"mixed_{compute_dtype}"
        gap = 0.05 * expected.std()
        np.testing.assert_allclose(samples, expected, atol=gap)
        drawn.append(samples)
    assert not np.array_equal(drawn[0], expected)
    assert not np.array_equal(drawn[0], drawn[1])


def test_fresh_one_draws_zeros(tiny_dit):
    generator = tiny_dit()
    assert np.all(numpy(generator(generator.sample_inputs(3))) == 0)


def test_patches_go_straight_through_a_fresh_one(tiny_dit, randomized):
    # But for its last layer, whose zeros would hide them.
    generator = tiny_dit()
    randomized(generator.get_layer("to_pixels"))
    inputs = generator.sample_inputs(3, labels=0, seed=0)
    samples = numpy(generator(inputs))
    # No token made from the condition is shown.
    other = {**inputs, "labels": inputs["labels"] + 1}
    np.testing.assert_array_equal(numpy(generator(other)), samples)
    noise = inputs["noise"].copy()
    noise[:, 2:, 4:] += 1
    gap = numpy(generator({**inputs, "noise": noise})) - samples
    assert np.all(gap[:, 2:, 4:] != 0)
    gap[:, 2:, 4:] = 0
    assert np.all(gap == 0)


def test_last_tokens_are_shifted_and_scaled(tiny_dit, randomized):
    generator = tiny_dit()
    kernel, _ = randomized(generator.get_layer("to_pixels")).get_weights()
    last_modulation = generator.get_layer("last_modulation")
    shift_and_scale = np.repeat([2.0, -1.0], 8)
    last_modulation.dense.bias.assign(shift_and_scale)
    generator.get_layer("to_pixels").bias.assign(np.zeros(4))
    samples = generator(generator.sample_inputs(3, seed=0))
    patch = 2 * kernel.sum(axis=0).reshape(2, 2)
    expected = np.tile(patch, (2, 3))[None, :, :, None].repeat(3, axis=0)
    np.testing.assert_allclose(numpy(samples), expected, atol=1e-5)


def test_every_input_counts(tiny_dit, randomized):
    generator = randomized(tiny_dit())
    inputs = generator.sample_inputs(3, labels=0, guidance=2.0, seed=0)
    samples = numpy(generator(inputs))
    changes = {
        "noise": -inputs["noise"],
        "labels": inputs["labels"] + 1,
        "guidance": inputs["guidance"] + 1,
        # Each of the codes, not only their sum.
        "styles": (inputs["styles"] + [0, 1]) % 4,
    }
    assert set(changes) == set(inputs)
    for key, value in changes.items():
        value = value.astype(inputs[key].dtype)
        changed = numpy(generator({**inputs, key: value}))
        gaps = np.abs(changed - samples).max(axis=(1, 2, 3))
        assert np.all(gaps > 1e-4), key


def test_codes_are_told_apart_by_their_place(tiny_dit, randomized):
    generator = randomized(tiny_dit())
    inputs = generator.sample_inputs(3, seed=0)
    one = {**inputs, "styles": np.array([[1, 2]] * 3, "int32")}
    other = {**inputs, "styles": np.array([[2, 1]] * 3, "int32")}
    gap = numpy(generator(one)) - numpy(generator(other))
    assert np.abs(gap).max() > 1e-3


def test_samples_do_not_see_each_other(tiny_dit, randomized):
    generator = randomized(tiny_dit())
    inputs = generator.sample_inputs(3, seed=0)
    samples = numpy(generator(inputs))
    turned = {key: value[::-1].copy() for key, value in inputs.items()}
    np.testing.assert_allclose(
        numpy(generator(turned)), samples[::-1], atol=1e-5
    )


def test_patches_are_read_row_by_row():
    images = np.arange(2 * 4 * 6 * 3, dtype="float32").reshape(2, 4, 6, 3)
    patches = numpy(dit._to_patches(images, 2))
    assert patches.shape == (2, 6, 12)
    for token, (row, column) in enumerate(np.ndindex(2, 3)):
        patch = images[:, 2 * row :, 2 * column :][:, :2, :2]
        np.testing.assert_array_equal(patches[:, token], patch.reshape(2, -1))


@pytest.mark.parametrize("size", [1, 2, 4])
def test_images_are_put_together_as_they_were_cut(size):
    images = np.random.default_rng(0).normal(size=(2, 4, 8, 3))
    images = images.astype("float32")
    patches = dit._to_patches(images, size)
    again = numpy(dit._to_image(patches, (4, 8, 3), size))
    np.testing.assert_array_equal(again, images)


@pytest.mark.parametrize("dim", [8, 10])
def test_positions_are_sines_of_column_then_row(dim):
    table = dit._grid_positions(2, 3, dim)
    expected = np.zeros((1, 6, dim))
    for row, column, i in np.ndindex(2, 3, 2):
        frequency = 10000 ** (-i / 2)
        place = expected[0, 3 * row + column]
        place[i] = np.sin(column * frequency)
        place[2 + i] = np.cos(column * frequency)
        place[4 + i] = np.sin(row * frequency)
        place[6 + i] = np.cos(row * frequency)
    np.testing.assert_allclose(table, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_shape": 28}, r"without a batch.*image_shape=28"),
        ({"image_shape": (4, 6)}, r"without a batch.*\(4, 6\)"),
        ({"image_shape": (1, 4, 6, 1)}, "without a batch"),
        ({"image_shape": (None, 6, 1)}, "`image_shape` must .*=None"),
        ({"image_shape": (4, 0, 1)}, "`image_shape` must .*=0"),
        ({"image_shape": (4, 5, 1)}, r"multiples.*\(4, 5, 1\), patch_size=2"),
        ({"image_shape": (3, 6, 1)}, r"multiples.*\(3, 6, 1\), patch_size=2"),
        ({"patch_size": 0}, "`patch_size` must .*=0"),
        ({"patch_size": (2, 2)}, r"`patch_size` must .*=\(2, 2\)"),
        ({"hidden_dim": 8.0}, r"`hidden_dim` must .*=8\.0"),
        ({"depth": 0}, "`depth` must .*=0"),
        ({"num_heads": 0}, "`num_heads` must .*=0"),
        ({"num_heads": 3}, "even size.*hidden_dim=8, num_heads=3"),
        ({"num_heads": 8}, "even size.*hidden_dim=8, num_heads=8"),
        ({"mlp_ratio": -1}, "`mlp_ratio` must .*=-1"),
        ({"mlp_ratio": "4"}, "`mlp_ratio` must .*='4'"),
        ({"mlp_ratio": 0.01}, "no hidden unit.*mlp_ratio=0.01, dim=8"),
        ({"num_classes": 0}, "`num_classes` must .*=0"),
        ({"num_classes": ["cat"]}, "`num_classes` must .*cat"),
        ({"cond_dim": 0}, "`cond_dim` must .*=0"),
        ({"cond_dim": -1}, "`cond_dim` must .*=-1"),
        ({"noise_channels": 0}, "`noise_channels` must .*=0"),
        ({"num_style_tokens": -1}, "`num_style_tokens` must .*=-1"),
        ({"num_style_tokens": None}, "`num_style_tokens` must .*=None"),
        ({"num_context_tokens": -1}, "`num_context_tokens` must .*=-1"),
        ({"num_context_tokens": 1.5}, r"`num_context_tokens` must .*=1\.5"),
        ({"style_codebook_size": 0}, "`style_codebook_size` must .*=0"),
        (PLAIN | {"num_context_tokens": 2}, "Context tokens.*num_classes.*=2"),
        ({"use_swigloo": True}, "use_swigloo"),
        ({"dtype": "bfloat17"}, "bfloat17"),
    ],
    ids=str,
)
def test_says_which_argument_is_wrong(changes, message, tiny_dit):
    with pytest.raises((TypeError, ValueError), match=message):
        tiny_dit(**changes)


def test_sizes_may_be_numpy_integers():
    eight = np.int64(8)
    network = generators.DiT(
        (eight, eight, np.int64(1)),
        num_classes=np.arange(3).max() + 1,
        patch_size=np.int64(2),
        hidden_dim=eight,
        depth=np.int64(1),
        num_heads=np.int64(2),
    )
    config = json.dumps(network.get_config())
    assert network.num_classes == 3
    assert generators.DiT.from_config(json.loads(config)).num_classes == 3
