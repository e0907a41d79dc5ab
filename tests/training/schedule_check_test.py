"""Schedules whose values no step can follow."""

import keras
import numpy as np
import pytest

from keras_drift import callbacks
from keras_drift import datasets
from keras_drift import models
from keras_drift.schedules import schedule_value
from small_models import small_mlp

POINTS = datasets.eight_gaussians(64, seed=0)


def compiled(optimizer="sgd", **options):
    keras.utils.set_random_seed(0)
    model = models.DriftModel(small_mlp(), seed=0, **options)
    model.compile(optimizer)
    return model


def falling(step):
    """Negative from the fifth step on."""
    return 1.0 - keras.ops.cast(step, "float32") / 4


def fit(model, *used, epochs=3):
    """Two steps an epoch."""
    return model.fit(
        POINTS, batch_size=32, epochs=epochs, callbacks=[*used], verbose=0
    )


@pytest.mark.parametrize("owner", ["callback", "model", "step size"])
def test_a_negative_value_ends_training_before_its_epoch(owner):
    options, used = {}, []
    if owner == "callback":
        used = [callbacks.BandwidthAnnealing(falling)]
    elif owner == "model":
        options = {"bandwidth_schedule": falling}
    else:
        options = {"step_size": falling}
    expected = compiled(**options)
    fit(expected, *used)  # ends before a value is negative
    model = compiled(**options)
    name = "step_size" if owner == "step size" else "bandwidth"
    with pytest.raises(ValueError, match=rf"{name}=-0\.5 at step 6"):
        fit(model, *used, epochs=10)
    for one, other in zip(
        expected.get_weights(), model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e-6])
def test_refused_before_the_first_step(value):
    def schedule(step):
        return value + 0 * keras.ops.cast(step, "float32")

    model = compiled(step_size=schedule)
    with pytest.raises(ValueError, match=r"step_size=.* at step 0"):
        fit(model)
    assert int(keras.ops.convert_to_numpy(model.optimizer.iterations)) == 0


def test_a_schedule_that_a_callback_replaces_is_not_evaluated():
    model = compiled(bandwidth_schedule=falling)
    constant = callbacks.BandwidthAnnealing(lambda step: 0.5)
    history = fit(model, constant, epochs=5)
    np.testing.assert_allclose(history.history["bandwidth"], 0.5)


def test_steps_are_those_of_the_optimizer():
    """Twelve batches, of which four make a step."""
    optimizer = keras.optimizers.SGD(gradient_accumulation_steps=4)
    optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model = compiled(optimizer, step_size=falling)
    fit(model, epochs=6)
    assert int(keras.ops.convert_to_numpy(model.optimizer.iterations)) <= 3


def test_looking_at_a_schedule_draws_no_random_number():
    """A bandwidth of every step, however the steps are cut into epochs."""
    generator = keras.random.SeedGenerator(3)

    def schedule(step):
        value = keras.random.uniform((), 0.2, 1.0, seed=generator)
        return value + 0.0 * keras.ops.cast(step, "float32")

    before = keras.ops.convert_to_numpy(generator.state)
    schedule_value.evaluate(schedule, 0)
    after = keras.ops.convert_to_numpy(generator.state)
    np.testing.assert_array_equal(before, after)


def test_fit_is_not_called_by_its_callbacks():
    class Nested(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.fit(POINTS, verbose=0)

    model = compiled()
    with pytest.raises(RuntimeError, match="is running"):
        fit(model, Nested())
    fit(model, epochs=1)


def test_a_bandwidth_of_zero_is_bounded_below():
    model = compiled(bandwidth_schedule=lambda step: 0.0)
    history = fit(model, epochs=1)
    assert 0 < history.history["bandwidth"][0] < 1e-4


@pytest.mark.parametrize(
    "feedback",
    [
        callbacks.AdaptiveBandwidth(initial=0.6, final=0.1),
        callbacks.LearnedBandwidth(),
    ],
)
def test_feedback_is_not_a_schedule(feedback):
    history = fit(compiled(), feedback, epochs=2).history["bandwidth"]
    assert np.all(np.isfinite(history))
    assert np.all(np.array(history) > 0)
