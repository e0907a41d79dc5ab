import keras
import numpy as np
import pytest

from contracts import copy_of
from contracts import numpy
from keras_drift import schedules


def test_rises_from_the_start_and_stays_at_the_end():
    ramp = schedules.LinearRamp(0.1, start=197_000, num_steps=1000)
    steps = [0, 196_999, 197_000, 197_001, 197_500, 198_000, 200_000]
    values = [float(numpy(ramp(step))) for step in steps]
    expected = [0, 0, 0, 0.0001, 0.05, 0.1, 0.1]
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_tells_steps_apart_that_float32_does_not():
    start = 2**24 + 1
    ramp = schedules.LinearRamp(1.0, start=start, num_steps=2)
    values = [float(numpy(ramp(start + i))) for i in range(3)]
    assert values == [0.0, 0.5, 1.0]


def test_copy_is_the_same():
    ramp = schedules.LinearRamp(0.5, start=3, num_steps=4)
    copy = copy_of(ramp)
    assert copy.get_config() == ramp.get_config()
    variable = keras.Variable(5, dtype="int32", trainable=False)
    assert float(numpy(copy(variable))) == 0.25


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((-0.1, 0, 1), "`final`.*Received: final=-0.1"),
        ((0.1, -1, 1), "`start`.*Received: start=-1"),
        ((0.1, 0, 0), "`num_steps`.*Received: num_steps=0"),
    ],
)
def test_refuses_what_is_no_ramp(arguments, error):
    with pytest.raises(ValueError, match=error):
        schedules.LinearRamp(*arguments)
