import keras
import numpy as np
import pytest

from contracts import compiled
from contracts import copy_of
from contracts import numpy
from keras_drift.generators.token_dense import TokenDense

TOKENS = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")


@pytest.mark.parametrize(
    "options",
    [{}, {"activation": "silu"}, {"use_bias": False}],
    ids=str,
)
def test_is_dense(options):
    dense = keras.layers.Dense(4, **options)
    dense.build(TOKENS.shape)
    layer = TokenDense(4, **options)
    layer.build(TOKENS.shape)
    layer.set_weights(dense.get_weights())
    expected = numpy(dense(TOKENS))
    np.testing.assert_allclose(numpy(layer(TOKENS)), expected, atol=1e-6)
    np.testing.assert_allclose(compiled(layer, TOKENS), expected, atol=1e-6)
    shape = layer.compute_output_shape((None, 5, 3))
    assert shape == dense.compute_output_shape((None, 5, 3))


def test_survives_its_config():
    copy = copy_of(TokenDense(4, "silu", name="up"))
    assert isinstance(copy, TokenDense)
    assert (copy.units, copy.name) == (4, "up")
    assert copy.activation is keras.activations.silu


def test_is_quantized_like_dense():
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    layer, dense = TokenDense(8), keras.layers.Dense(8)
    for each in (layer, dense):
        each.build((None, 3, 4))
    dense.set_weights(layer.get_weights())
    exact = numpy(layer(x))
    for each in (layer, dense):
        each.quantize("int8")
    assert layer.quantization_mode == "int8"
    np.testing.assert_array_equal(numpy(layer(x)), numpy(dense(x)))
    np.testing.assert_allclose(numpy(layer(x)), exact, atol=0.05)
