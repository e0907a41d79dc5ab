import numpy as np
from keras import ops

from keras_drift import backend

SMALLEST_NORMAL = np.finfo("float32").tiny


def exp_of_difference(x, y):
    x, y = (ops.convert_to_tensor(np.float32(v)) for v in (x, y))
    return ops.convert_to_numpy(backend.exp_of_difference(x, y))


def test_agrees_with_float64_as_far_as_normal_numbers_reach():
    x = np.linspace(-86.0, 3.0, 1000).astype("float32").reshape(10, 100)
    y = np.full((10, 1), 0.75, "float32")
    expected = np.exp(x.astype("float64") - y)
    expected[expected < 2e-38] = 0.0
    np.testing.assert_allclose(exp_of_difference(x, y), expected, rtol=1e-5)


def test_underflow_is_zero_rather_than_subnormal():
    # On a CPU exponentials and products are slow with subnormal numbers.
    x = np.concatenate([-np.linspace(86.0, 110.0, 2000), [-1e5, -np.inf]])
    found = exp_of_difference(x, np.zeros(1))
    assert np.all((found == 0) | (found >= SMALLEST_NORMAL))
    assert np.all(found[x < -87.4] == 0)


def test_nan_is_not_hidden():
    assert np.isnan(exp_of_difference([np.nan], [0.0])[0])


def test_gradient_is_the_value_and_zero_after_underflow():
    x = ops.convert_to_tensor(np.float32([-1.0, -40.0, -1e3, -np.inf]))

    def total(x):
        return ops.sum(backend.exp_of_difference(x, ops.zeros((1,))))

    found = ops.convert_to_numpy(backend.gradient(total, x))
    np.testing.assert_allclose(found, np.exp([-1.0, -40.0, -1e3, -np.inf]))
