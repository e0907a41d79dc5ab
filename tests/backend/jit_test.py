"""Compiled functions with variables, see `keras_drift.backend.jit`."""

import keras
import numpy as np
import pytest

import contracts
from keras_drift import backend


def test_assigned_variables_are_written_back():
    count = keras.Variable(0.0)
    scale = keras.Variable(2.0)

    def function(x):
        count.assign(count + 1.0)
        return scale * x

    compiled = backend.jit(function, [scale, count])
    for expected in (6.0, 6.0):
        assert float(compiled(np.float32(3.0))) == expected
    assert float(contracts.numpy(count)) == 2.0
    scale.assign(3.0)
    assert float(compiled(np.float32(3.0))) == 9.0
    assert float(contracts.numpy(count)) == 3.0
    assert float(contracts.numpy(scale)) == 3.0


def test_random_generators_advance_as_outside_of_a_program():
    inside, outside = (keras.random.SeedGenerator(7) for _ in range(2))

    def numbers(generator):
        return keras.random.uniform((4,), seed=generator)

    compiled = backend.jit(lambda x: x + numbers(inside), [inside.state])
    found = [contracts.numpy(compiled(np.zeros(4, "float32"))) for _ in "ab"]
    expected = [contracts.numpy(numbers(outside)) for _ in "ab"]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert np.all(found[0] != found[1])


def test_a_variable_that_would_be_lost_is_named():
    if not contracts.ON_JAX:
        pytest.skip("variables are assigned in place")
    count = keras.Variable(0.0)

    def function(x):
        count.assign(count + 1.0)
        return x

    with pytest.raises(ValueError, match=r"`jit` was not given.*=\[\]"):
        backend.jit(function, [])(np.float32(1.0))
    assert float(contracts.numpy(count)) == 0.0
