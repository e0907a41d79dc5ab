import keras
import numpy as np
import pytest

import contracts
from keras_drift.schedules import ExponentialAnnealing


def test_falls_by_the_same_factor_every_step_and_stops():
    schedule = ExponentialAnnealing(2.0, 0.3, rate=0.1)
    values = [float(schedule(step)) for step in range(40)]
    np.testing.assert_allclose(
        values, [max(2 * np.exp(-0.1 * t), 0.3) for t in range(40)], rtol=1e-6
    )


def test_num_steps_is_where_the_final_value_is_reached():
    schedule = ExponentialAnnealing(2.0, 0.3, rate=0.1)
    steps = schedule.num_steps
    assert steps == pytest.approx(np.log(2 / 0.3) / 0.1)
    assert float(schedule(np.floor(steps))) > 0.3
    assert float(schedule(np.ceil(steps))) == pytest.approx(0.3)


def test_may_stay_where_it_is():
    schedule = ExponentialAnnealing(0.5, 0.5, rate=1.0)
    assert schedule.num_steps == 0
    assert float(schedule(0)) == float(schedule(10)) == 0.5


def test_is_finite_after_many_steps():
    schedule = ExponentialAnnealing(1e6, 1e-6, rate=10.0)
    assert float(schedule(10**9)) == pytest.approx(1e-6)


def test_takes_the_integer_steps_of_an_optimizer():
    step = keras.ops.convert_to_tensor(3, "int32")
    value = ExponentialAnnealing(1.0, 0.25, rate=0.5)(step)
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    assert float(value) == 0.25


@pytest.mark.parametrize("number", [float, np.float32])
def test_config_survives_json(number):
    schedule = ExponentialAnnealing(number(2), number(0.5), rate=number(0.25))
    copy = contracts.copy_of(schedule)
    assert isinstance(copy, ExponentialAnnealing)
    assert copy.get_config() == schedule.get_config()
    assert float(copy(2)) == float(schedule(2))


def test_is_a_learning_rate():
    model = keras.Sequential([keras.layers.Dense(1, use_bias=False)])
    model.build((None, 1))
    model.layers[0].kernel.assign([[0.0]])
    schedule = ExponentialAnnealing(1.0, 0.5, rate=np.log(2.0))
    model.compile(keras.optimizers.SGD(schedule), "mean_absolute_error")
    # The gradient is -1: the weight is the sum of the learning rates.
    for _ in range(3):
        model.train_on_batch(np.ones((1, 1)), 100 * np.ones((1, 1)))
    weight = contracts.numpy(model.layers[0].kernel)
    np.testing.assert_allclose(weight, [[1.0 + 0.5 + 0.5]], rtol=1e-5)


@pytest.mark.parametrize("name", ["initial", "final", "rate"])
def test_names_the_number_that_is_not_positive(name):
    arguments = {"initial": 1.0, "final": 0.5, "rate": 0.1}
    for value in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=rf"`{name}`.*{name}={value}"):
            ExponentialAnnealing(**{**arguments, name: value})
    with pytest.raises(TypeError, match=rf"`{name}`.*{name}='1'"):
        ExponentialAnnealing(**{**arguments, name: "1"})


def test_refuses_to_grow():
    with pytest.raises(ValueError, match=r"shrinks.*initial=1.0, final=2.0"):
        ExponentialAnnealing(1.0, 2.0, rate=0.1)
