import keras
import numpy as np
import pytest
from keras import ops

from contracts import in_one_program
from contracts import numpy
from keras_drift import backend


def cases(length):
    """Queries, keys and values whose logits reach several hundred."""
    rng = np.random.default_rng(length)
    shape = (2, length, 3, 4)
    query, key, value = rng.normal(size=(3, *shape)).astype("float32")
    return 15 * query, 15 * key, value


def by_hand(query, key, value):
    query, key, value = (np.float64(x) for x in (query, key, value))
    logits = np.einsum("bqhd,bkhd->bhqk", query, key) / 2
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.einsum("bhqk,bkhd->bqhd", weights, value)


# Those of one lane, of several, and more than one row of 16 lanes.
@pytest.mark.parametrize("length", [1, 5, 12, 16, 48])
@pytest.mark.parametrize("training", [False, True])
def test_matches_the_definition_where_exponentials_overflow(length, training):
    inputs = cases(length)
    attend = in_one_program(
        lambda q, k, v: backend.attention(q, k, v, training=training)
    )
    actual = numpy(attend(*map(ops.convert_to_tensor, inputs)))
    np.testing.assert_allclose(actual, by_hand(*inputs), atol=2e-4)


@pytest.mark.parametrize("index", range(3))
def test_gradients_are_those_of_keras(index):
    inputs = [ops.convert_to_tensor(x / 4) for x in cases(48)]
    weights = np.random.default_rng(0).normal(size=(2, 48, 3, 4))

    def gradient(attend):
        def value(x):
            changed = [*inputs[:index], x, *inputs[index + 1 :]]
            return ops.sum(attend(*changed) * ops.cast(weights, "float32"))

        compiled = in_one_program(lambda x: backend.gradient(value, x))
        return numpy(compiled(inputs[index]))

    np.testing.assert_allclose(
        gradient(lambda *x: backend.attention(*x, training=True)),
        gradient(keras.ops.dot_product_attention),
        rtol=1e-4,
        atol=1e-5,
    )
