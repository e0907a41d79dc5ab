import keras
import numpy as np
import pytest

from contracts import copy_of
from contracts import numpy
from keras_drift import generators

TINY = {"output_dim": 2, "hidden_dims": (6, 5)}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_classes": 3},
        {"noise_dim": 4, "hidden_dims": [7], "activation": "tanh"},
        {"num_codes": 3, "num_classes": 3},
        {"activation": keras.activations.relu, "name": "painter"},
    ],
    ids=lambda arguments: "-".join(arguments) or "defaults",
)
def test_copy_draws_the_same(changes):
    generator = generators.MLP(**(TINY | changes))
    inputs = generator.sample_inputs(3, seed=0)
    samples = numpy(generator(inputs))
    assert samples.shape == (3, 2)
    assert samples.dtype == "float32"
    copy = copy_of(generator)
    assert copy.get_config() == generator.get_config()
    copy.set_weights(generator.get_weights())
    np.testing.assert_array_equal(numpy(copy(inputs)), samples)


def test_survives_a_keras_file(tmp_path):
    generator = generators.MLP(**TINY, num_classes=3, num_codes=2)
    generator.save(tmp_path / "generator.keras")
    loaded = keras.saving.load_model(tmp_path / "generator.keras")
    assert isinstance(loaded, generators.MLP)
    inputs = generator.sample_inputs(3, seed=0)
    np.testing.assert_array_equal(
        numpy(loaded(inputs)), numpy(generator(inputs))
    )


def test_is_a_stack_of_dense_layers(randomized):
    generator = randomized(generators.MLP(**TINY, num_classes=3))
    inputs = generator.sample_inputs(3, seed=0)
    (embed,) = (x for x in generator.layers if "condition" in x.name)
    x = np.concatenate([inputs["noise"], numpy(embed(inputs))], axis=-1)
    *hidden, last = (x for x in generator.layers if "dense" in x.name)
    for layer in hidden:
        kernel, bias = layer.get_weights()
        x = x @ kernel + bias
        x = x / (1 + np.exp(-x))
    kernel, bias = last.get_weights()
    expected = x @ kernel + bias
    np.testing.assert_allclose(numpy(generator(inputs)), expected, atol=1e-5)


def test_codes_are_the_signs_of_the_first_coordinates(randomized):
    plain = randomized(generators.MLP(**TINY, noise_dim=5))
    coded = generators.MLP(**TINY, noise_dim=5, num_codes=2)
    weights = plain.get_weights()
    # The weights of the codes come after those of the noise.
    codes = np.array([[3.0] * 6, [-2.0] * 6], "float32")
    coded.set_weights([np.concatenate([weights[0], codes]), *weights[1:]])
    noise = np.random.default_rng(1).normal(size=(4, 5)).astype("float32")
    noise[:, :2] = [[0.3, 0.1], [0.3, -0.1], [-0.3, 0.1], [-0.3, -0.1]]
    shifted = [w.copy() for w in weights]
    for row, sign in zip(
        noise, ([1, 1], [1, -1], [-1, 1], [-1, -1]), strict=True
    ):
        shifted[1] = weights[1] + np.array(sign) @ codes
        plain.set_weights(shifted)
        np.testing.assert_allclose(
            numpy(coded({"noise": row[None]})),
            numpy(plain({"noise": row[None]})),
            atol=1e-5,
        )


def test_codes_tear_the_samples(randomized):
    generator = generators.MLP(**TINY, num_codes=1, dtype="mixed_float16")
    generator = randomized(generator)
    noise = np.zeros((2, 8), "float32")
    noise[:, 0] = [1e-30, -1e-30]
    right, left = numpy(generator({"noise": noise}))
    assert np.abs(right - left).max() > 1e-3


def test_every_input_counts(randomized):
    generator = randomized(generators.MLP(**TINY, num_classes=3))
    inputs = generator.sample_inputs(3, labels=0, guidance=2.0, seed=0)
    samples = numpy(generator(inputs))
    for key, value in inputs.items():
        changed = numpy(generator({**inputs, key: value + value.dtype.type(1)}))
        assert np.abs(changed - samples).max() > 1e-5, key


@pytest.mark.parametrize(("output_dim", "noise_dim"), [(2, 8), (8, 8), (9, 9)])
def test_takes_noise_of_eight_dimensions_or_more(output_dim, noise_dim):
    generator = generators.MLP(output_dim, hidden_dims=[3])
    assert generator.noise_shape == (noise_dim,)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_draws_float32_in_half_precision(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        generator = generators.MLP(**TINY, num_classes=3)
    finally:
        keras.config.set_dtype_policy(before)
    samples = numpy(generator(generator.sample_inputs(3, seed=0)))
    assert samples.dtype == "float32"
    assert np.all(np.isfinite(samples))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output_dim": "2"}, "`output_dim` must .*='2'"),
        ({"output_dim": (2,)}, r"`output_dim` must .*=\(2,\)"),
        ({"output_dim": 0}, "`output_dim` must .*=0"),
        ({"noise_dim": 0}, "`noise_dim` must .*=0"),
        ({"noise_dim": 2.5}, r"`noise_dim` must .*=2\.5"),
        ({"hidden_dims": ()}, r"at least one.*hidden_dims=\(\)"),
        ({"hidden_dims": 256}, "each hidden layer.*hidden_dims=256"),
        ({"hidden_dims": "256"}, "each hidden layer.*hidden_dims='256'"),
        ({"hidden_dims": (4, 0)}, "`hidden_dims` must .*=0"),
        ({"num_classes": 0}, "`num_classes` must .*=0"),
        ({"num_codes": -1}, "`num_codes` must .*=-1"),
        ({"num_codes": 9}, "num_codes=9, noise_dim=8"),
        ({"num_codes": 2.5}, r"`num_codes` must .*=2\.5"),
        ({"num_classes": "3"}, "`num_classes` must .*='3'"),
        ({"activation": "sillu"}, "sillu"),
        ({"hiden_dims": (4,)}, "hiden_dims"),
        ({"dtype": "bfloat17"}, "bfloat17"),
    ],
    ids=str,
)
def test_says_which_argument_is_wrong(changes, message):
    with pytest.raises((TypeError, ValueError), match=message):
        generators.MLP(**(TINY | changes))


def test_the_dtype_policy_is_an_argument_and_saved(tmp_path):
    half = generators.MLP(**TINY, num_classes=3, dtype="mixed_bfloat16")
    half.save_to_preset(tmp_path / "preset")
    loaded = generators.MLP.from_preset(tmp_path / "preset")
    for generator, dtype in (
        (half, "bfloat16"),
        (copy_of(half), "bfloat16"),
        (loaded, "float32"),
    ):
        dense = [type(layer).__name__ for layer in generator.layers]
        dense = generator.layers[dense.index("Dense")]
        assert dense.compute_dtype == dtype
