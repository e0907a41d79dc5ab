import re

import keras
import numpy as np
import pytest
from keras import ops

from keras_drift import backend
from keras_drift.ops import Cloud
from keras_drift.ops import Pairs
from keras_drift.ops import mean_displacements

BACKEND = keras.backend.backend()


def test_what_is_materialized_stays_what_it_is():
    tensors = {"a": ops.arange(6.0), "b": (ops.ones((2, 3), "int32"),)}
    for turn in (0, 3):
        same = backend.materialized(ops.convert_to_tensor(turn), tensors)
        assert ops.convert_to_numpy(same["a"]).tolist() == [0, 1, 2, 3, 4, 5]
        assert ops.convert_to_numpy(same["b"][0]).tolist() == [[1] * 3] * 2


def test_a_gradient_passes_what_is_materialized():
    def function(x):
        (x,) = backend.materialized(ops.zeros((), "int32"), (x,))
        return ops.sum(x**3)

    x = ops.convert_to_tensor(np.array([1.0, -2.0], "float32"))
    slope = ops.convert_to_numpy(backend.gradient(function, x))
    np.testing.assert_allclose(slope, [3.0, 12.0])


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 7)])
def test_sums_of_rows(shape):
    values = np.random.default_rng(0).normal(size=shape).astype("float32")
    sums = backend.row_sums(ops.convert_to_tensor(values))
    exact = values.astype("float64").sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(
        ops.convert_to_numpy(sums), exact, rtol=1e-5, atol=1e-6
    )


@pytest.mark.skipif(BACKEND != "jax", reason="reads the program of JAX")
def test_no_exponential_reads_through_a_slice():
    # Compilers do not compute several of those at once.
    import jax

    if jax.default_backend() != "cpu":
        pytest.skip("a matter of CPUs")

    def displacements(x, y):
        pairs = Pairs(x, Cloud(y), block_size=16)
        return mean_displacements(pairs, [lambda cost: -cost])

    x = np.random.default_rng(0).normal(size=(1, 64, 2)).astype("float32")
    program = jax.jit(displacements).lower(x, x + 1).compile().as_text()
    computations = re.split(r"\n(?=%|ENTRY)", program)
    exponentials = [c for c in computations if " exponential(" in c]
    assert exponentials
    assert not any(" dynamic-slice(" in c for c in exponentials)
