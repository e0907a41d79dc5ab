import math

import numpy as np
import pytest

from contracts import copy_of
from contracts import numpy
from keras_drift.generators.feed_forward import FeedForward


@pytest.fixture
def tokens():
    rng = np.random.default_rng(1)
    return rng.normal(size=(2, 5, 8)).astype("float32")


@pytest.mark.parametrize("use_swiglu", [True, False])
def test_matches_the_formula(use_swiglu, tokens, randomized):
    layer = FeedForward(8, use_swiglu=use_swiglu)
    layer.build(tokens.shape)
    randomized(layer)
    hidden = dense(layer.up, tokens)
    if use_swiglu:
        gate = dense(layer.gate, tokens)
        hidden = hidden * gate / (1 + np.exp(-gate))
    else:
        hidden = hidden * (1 + np.vectorize(math.erf)(hidden / 2**0.5)) / 2
    result = numpy(layer(tokens))
    expected = dense(layer.down, hidden)
    # Tells the exact GELU from its approximation by a hyperbolic tangent.
    np.testing.assert_allclose(result, expected, atol=2e-5)
    copy = copy_of(layer)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(numpy(copy(tokens)), result)


def dense(layer, x):
    kernel, bias = (weight.astype("float64") for weight in layer.get_weights())
    return x @ kernel + bias


@pytest.mark.parametrize(
    ("dim", "mlp_ratio", "gated", "plain"),
    [
        (64, 4.0, 192, 256),  # 170 of 256, rounded up
        (48, 4.0, 128, 192),  # 128 exactly
        (768, 4.0, 2048, 3072),
        (8, 0.5, 32, 4),
        (40, 3.3, 96, 132),
    ],
)
def test_hidden_width(dim, mlp_ratio, gated, plain):
    assert FeedForward(dim, mlp_ratio).hidden_dim == gated
    assert FeedForward(dim, mlp_ratio, use_swiglu=False).hidden_dim == plain


@pytest.mark.parametrize("use_swiglu", [True, False])
def test_refuses_to_have_no_hidden_unit(use_swiglu):
    with pytest.raises(ValueError, match=r"no hidden unit.*=0\.1, dim=8"):
        FeedForward(8, 0.1, use_swiglu)
