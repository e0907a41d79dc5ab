import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift import backend

X = np.random.default_rng(0).normal(size=(8, 64)).astype("float32")


def consumers(x):
    """What three consumers compute from an elementwise result."""
    kept = backend.in_memory(ops.maximum(2.0 * x + 1.0, 0.0))
    return [kept[:4] + kept[4:], ops.transpose(kept) * 3.0, ops.exp(kept)]


def test_changes_nothing():
    for x in (X, np.where(X > 1, np.nan, X), np.full_like(X, np.inf)):
        x = x.astype("float32")
        found = contracts.in_one_program(consumers)(ops.convert_to_tensor(x))
        kept = np.maximum(2 * x + 1, 0)
        expected = kept[:4] + kept[4:], kept.T * 3, np.exp(kept)
        for one, two in zip(found, expected, strict=True):
            np.testing.assert_allclose(contracts.numpy(one), two, rtol=1e-6)


def test_a_batch_may_be_empty():
    empty = ops.convert_to_tensor(X[:0])
    program = contracts.in_one_program(lambda x: backend.in_memory(x + 1.0))
    assert contracts.numpy(program(empty)).shape == (0, 64)


def test_gradients_pass():
    def loss(x):
        return ops.sum(backend.in_memory(ops.square(x)))

    found = contracts.gradient(loss, ops.convert_to_tensor(X))
    np.testing.assert_allclose(contracts.numpy(found), 2 * X, rtol=1e-6)


@pytest.mark.skipif(contracts.BACKEND != "jax", reason="XLA alone fuses it")
def test_it_is_computed_once_on_jax():
    import jax

    if jax.default_backend() != "cpu":
        pytest.skip("XLA keeps what has several consumers there")
    text = jax.jit(consumers).lower(X).compile().as_text()
    # The other one is that of the condition, of a single number.
    assert text.count(" maximum(") == 2
