import numpy as np
import pytest
from keras import ops

from contracts import copy_of
from contracts import numpy
from keras_drift.generators import attention
from keras_drift.generators.attention import Attention


@pytest.fixture
def tokens():
    rng = np.random.default_rng(1)
    return rng.normal(size=(2, 5, 8)).astype("float32")


def built(tokens, **switches):
    layer = Attention(dim=8, num_heads=2, **switches)
    layer.build(tokens.shape)
    return layer


@pytest.mark.parametrize("use_rope", [True, False])
@pytest.mark.parametrize("use_rmsnorm", [True, False])
@pytest.mark.parametrize("use_qknorm", [True, False])
def test_matches_the_formula(
    use_rope, use_rmsnorm, use_qknorm, tokens, randomized
):
    switches = {
        "use_rope": use_rope,
        "use_rmsnorm": use_rmsnorm,
        "use_qknorm": use_qknorm,
    }
    layer = randomized(built(tokens, **switches))
    expected = np.stack([by_hand(x, layer, **switches) for x in tokens])
    np.testing.assert_allclose(numpy(layer(tokens)), expected, atol=1e-5)
    copy = copy_of(layer)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(numpy(copy(tokens)), numpy(layer(tokens)))


def test_half_precision_is_closer_with_attention_in_float32():
    # Queries, keys and values that bfloat16 holds exactly: attention alone is
    # rounded. Large, for weights far from uniform.
    rng = np.random.default_rng(0)
    tokens = rng.integers(-16, 17, (2, 32, 8)).astype("float32") / 8
    identity = np.eye(8, dtype="float32")
    errors = {}
    for in_float32 in (True, False):
        options = {"use_qknorm": False, "float32_attention": in_float32}
        full = Attention(8, 2, **options)
        half = Attention(8, 2, **options, dtype="mixed_bfloat16")
        for layer in (full, half):
            layer.build(tokens.shape)
            layer.to_qkv.kernel.assign(np.tile(identity, 3))
            layer.project.kernel.assign(identity)
        expected = numpy(full(tokens))
        result = numpy(ops.cast(half(tokens), "float32"))
        errors[in_float32] = np.abs(result - expected)
    # One rounding of the result, to eight bits.
    assert np.all(errors[True] <= 2.0**-8 * np.abs(expected) + 1e-6)
    assert errors[False].mean() > 1.5 * errors[True].mean()


def by_hand(x, layer, use_rope, use_rmsnorm, use_qknorm):
    """One sample, one head after the other, rotations as complex numbers."""
    weights = {v.path.partition("/")[2]: numpy(v) for v in layer.variables}
    qkv = x @ weights["to_qkv/kernel"] + weights["to_qkv/bias"]
    heads = []
    for head in range(2):
        columns = np.arange(4 * head, 4 * head + 4)
        q, k, v = (qkv[:, columns + start] for start in (0, 8, 16))
        if use_qknorm:
            q = normalized(q, weights, "q_norm", use_rmsnorm)
            k = normalized(k, weights, "k_norm", use_rmsnorm)
        if use_rope:
            turns = np.outer(np.arange(len(x)), [1, 1 / 100])
            q, k = (
                (z[:, :2] + 1j * z[:, 2:]) * np.exp(1j * turns) for z in (q, k)
            )
        scores = np.exp(np.real(q @ k.conj().T) / np.sqrt(4))
        heads.append(scores / scores.sum(axis=1, keepdims=True) @ v)
    mixed = np.concatenate(heads, axis=1)
    return mixed @ weights["project/kernel"] + weights["project/bias"]


def normalized(x, weights, name, use_rmsnorm):
    if use_rmsnorm:
        size = np.sqrt(np.mean(x**2, axis=1, keepdims=True) + 1e-6)
        return x / size * weights[f"{name}/scale"]
    x = x - x.mean(axis=1, keepdims=True)
    size = np.sqrt(np.mean(x**2, axis=1, keepdims=True) + 1e-6)
    return x / size * weights[f"{name}/gamma"] + weights[f"{name}/beta"]


def rotate(x):
    return attention._rotate(ops.convert_to_tensor(x))


def test_scores_depend_on_the_distance_of_positions_alone():
    rng = np.random.default_rng(0)
    q, k = rng.normal(size=(2, 1, 1, 1, 6)).astype("float32")
    q, k = (numpy(rotate(np.repeat(x, 7, axis=1)))[0, :, 0] for x in (q, k))
    scores = q @ k.T
    np.testing.assert_allclose(scores[1:, 1:], scores[:-1, :-1], atol=1e-5)
    assert np.std(scores[0]) > 0.1


def test_rotation_keeps_lengths_and_the_first_token(tokens):
    x = tokens.reshape(2, 5, 2, 4)
    turned = numpy(rotate(x))
    np.testing.assert_array_equal(turned[:, 0], x[:, 0])
    np.testing.assert_allclose(
        np.linalg.norm(turned, axis=-1), np.linalg.norm(x, axis=-1), rtol=1e-5
    )


def test_without_rotation_the_order_of_tokens_is_nothing(tokens, randomized):
    layer = randomized(built(tokens, use_rope=False))
    turned = numpy(layer(tokens[:, ::-1].copy()))[:, ::-1]
    np.testing.assert_allclose(turned, numpy(layer(tokens)), atol=1e-5)
