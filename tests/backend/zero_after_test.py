"""Zeros that make a program compute one thing after another."""

import keras
import numpy as np
import pytest

import contracts
from keras_drift import backend


@pytest.mark.parametrize("value", [0.5, float("nan"), float("inf"), -3e38])
@pytest.mark.parametrize("size", [0, 1, 20])
def test_it_is_zero_whatever_it_waits_for(value, size):
    x = np.full((size, 2), value, "float32")
    found = contracts.in_one_program(lambda x: backend.zero_after(x) + 1.0)(x)
    assert float(found) == 1.0


def test_no_gradient_passes():
    def function(x):
        return keras.ops.sum(x * (1.0 + backend.zero_after(x * x)))

    x = keras.ops.convert_to_tensor([1.0, 2.0, float("inf")])
    found = contracts.in_one_program(lambda x: backend.gradient(function, x))(x)
    np.testing.assert_array_equal(contracts.numpy(found), 1.0)
