import keras
import numpy as np
import pytest

import contracts
from keras_drift import DriftModel
from keras_drift import datasets
from keras_drift import generators
from keras_drift import schedules
from keras_drift.schedules import LinearFriction


def values(schedule, steps):
    return [float(schedule(step)) for step in steps]


def test_falls_linearly_and_stops():
    found = values(LinearFriction(0.5, 0.8, 20), (0, 5, 20, 1000))
    np.testing.assert_allclose(found, [0.5, 0.4, 0.1, 0.1], rtol=1e-6)


def test_no_friction_is_a_constant_and_full_friction_stands_still():
    assert values(LinearFriction(0.5, 0.0, 20), (0, 7, 99)) == [0.5] * 3
    assert values(LinearFriction(0.5, 1.0, 20), (20, 99)) == [0.0] * 2


def test_the_way_of_a_sample_is_bounded():
    # Papers, 11: the sum of the steps, by the area of a trapezoid.
    friction = LinearFriction(0.5, 0.8, 20)
    total = sum(values(friction, range(20)))
    assert total == pytest.approx(0.5 * 20 * (1 - 0.8 / 2), rel=0.05)


def test_survives_json():
    schedule = contracts.copy_of(LinearFriction(0.5, 0.8, 20))
    assert values(schedule, [5]) == pytest.approx([0.4])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0.0, 0.5, 3), ValueError, "`step_size`.*step_size=0"),
        ((1.0, 1.5, 3), ValueError, "`maximum` is at most 1.*maximum=1.5"),
        ((1.0, -0.5, 3), ValueError, "`maximum`.*maximum=-0.5"),
        ((1.0, 0.5, 0), ValueError, "`num_steps`.*num_steps=0"),
        ((1.0, 0.5, 2.5), TypeError, "`num_steps`.*num_steps=2.5"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        LinearFriction(*arguments)


# === In a model ===


DATA = datasets.two_moons(32, seed=0)


def model(step_size, **options):
    generator = generators.MLP(2, hidden_dims=(8,))
    rng = np.random.default_rng(0)
    generator.set_weights(
        [rng.normal(size=w.shape) / 3 for w in generator.get_weights()]
    )
    model = DriftModel(generator, step_size=step_size, seed=0, **options)
    model.compile(keras.optimizers.SGD(0.1))
    return model


def losses(model):
    options = {"batch_size": 32, "shuffle": False, "verbose": 0}
    return model.fit(DATA, **options).history["loss"]


def test_the_model_follows_it_inside_of_compiled_code():
    plain, damped = model(0.5), model(LinearFriction(0.5, 0.5, 1))
    # Until the first update they are one.
    assert losses(damped) == pytest.approx(losses(plain), rel=1e-5)
    # Evaluation measures the full step of both.
    full, expected = (
        each.evaluate(DATA, batch_size=32, verbose=0, return_dict=True)["loss"]
        for each in (damped, plain)
    )
    assert full == pytest.approx(expected, rel=1e-5)
    # Then, half the step, a quarter of the loss.
    assert losses(damped)[0] == pytest.approx(losses(plain)[0] / 4, rel=1e-5)


def test_full_friction_freezes_the_generator():
    # Two steps share the field and the step size of the first.
    frozen = model(LinearFriction(0.5, 1.0, 2), frozen_steps=2)
    assert losses(frozen)[0] > 0
    weights = frozen.generator.get_weights()
    assert losses(frozen) == [0]
    for before, after in zip(
        weights, frozen.generator.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    "step_size",
    [
        schedules.LinearFriction(0.5, 0.9, 10),
        keras.optimizers.schedules.CosineDecay(0.5, 10),
    ],
)
def test_is_saved_with_the_model(tmp_path, step_size):
    model(step_size).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.step_size) is type(step_size)
    assert loaded.step_size.get_config() == step_size.get_config()
