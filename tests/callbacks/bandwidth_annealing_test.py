import warnings

import keras
import numpy as np
import pytest

from keras_drift import DriftModel
from keras_drift import callbacks
from keras_drift import drifts
from keras_drift import generators
from keras_drift import kernels
from keras_drift import schedules
from keras_drift import spectral

DATA = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")


def small_model(bandwidth=1.0):
    drift = drifts.KernelDrift(kernels.Gaussian(bandwidth))
    model = DriftModel(generators.MLP(2, hidden_dims=(8,)), drift, seed=0)
    model.compile(keras.optimizers.SGD(0.1))
    return model


def fit(model, schedule, epochs=1):
    annealing = [] if schedule is None else [schedule]
    annealing = [callbacks.BandwidthAnnealing(s) for s in annealing]
    return model.fit(
        DATA, batch_size=16, epochs=epochs, verbose=0, callbacks=annealing
    ).history


def bandwidth(model):
    return keras.ops.convert_to_numpy(model.drift.bandwidth)


def test_bandwidth_follows_the_steps_of_the_optimizer():
    schedule = schedules.ExponentialAnnealing(2.0, 0.1, rate=0.1)
    model = small_model()
    logs = fit(model, schedule, epochs=2)["bandwidth"]
    # Four steps per epoch; the last ones are steps 3 and 7.
    np.testing.assert_allclose(logs, 2 * np.exp([-0.3, -0.7]), rtol=1e-5)
    np.testing.assert_allclose(bandwidth(model), logs[-1], rtol=1e-6)


def test_largest_bandwidth_is_set_and_the_others_keep_their_ratio():
    schedule = schedules.ExponentialAnnealing(2.0, 0.5, rate=10.0)
    model = small_model([0.1, 0.4])
    logs = fit(model, schedule)["bandwidth"]
    np.testing.assert_allclose(bandwidth(model), [0.125, 0.5], rtol=1e-6)
    assert logs[-1] == pytest.approx(0.5)


def test_accepts_schedules_of_keras():
    schedule = keras.optimizers.schedules.PolynomialDecay(1.0, 4, 0.25)
    model = small_model()
    fit(model, schedule, epochs=2)
    np.testing.assert_allclose(bandwidth(model), 0.25, rtol=1e-6)


def test_loaded_model_continues_the_schedule(tmp_path):
    schedule = schedules.ExponentialAnnealing(2.0, 0.1, rate=0.1)
    model = small_model()
    fit(model, schedule)
    model.save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(bandwidth(model), 2 * np.exp(-0.3), rtol=1e-5)
    logs = fit(model, schedule)["bandwidth"]
    np.testing.assert_allclose(logs, 2 * np.exp(-0.7), rtol=1e-5)


def test_bandwidth_is_constant_without_the_callback():
    schedule = schedules.ExponentialAnnealing(2.0, 0.1, rate=0.1)
    model = small_model()
    fit(model, schedule)
    reached = bandwidth(model)
    assert "bandwidth" not in fit(model, None)
    np.testing.assert_array_equal(bandwidth(model), reached)


def test_later_schedule_replaces_the_earlier_one():
    model = small_model()
    fit(model, schedules.ExponentialAnnealing(2.0, 0.1, rate=0.1))
    fit(model, schedules.ExponentialAnnealing(9.0, 3.0, rate=10.0))
    np.testing.assert_allclose(bandwidth(model), 3.0, rtol=1e-6)


def test_evaluation_uses_the_current_bandwidth():
    model = small_model()
    fit(model, schedules.ExponentialAnnealing(2.0, 0.1, rate=0.1))
    reached = bandwidth(model)
    model.evaluate(DATA, verbose=0)
    np.testing.assert_array_equal(bandwidth(model), reached)


def test_names_a_wrong_schedule_or_model():
    with pytest.raises(TypeError, match=r"schedule=0\.5"):
        callbacks.BandwidthAnnealing(0.5)
    annealing = callbacks.BandwidthAnnealing(lambda step: 1.0)
    with pytest.raises(TypeError, match=r"DriftModel.*model=Sequential"):
        annealing.set_model(keras.Sequential())
    model = small_model()
    model.drift = Without()
    with pytest.raises(ValueError, match="drift=Without"):
        annealing.set_model(model)


def test_a_plan_must_be_in_the_unit_of_the_drift():
    data = np.random.default_rng(0).normal(size=(100, 2))
    for relative in (True, False):
        plan = spectral.plan_annealing(data, relative=relative, verbose=False)
        for other in (True, False):
            drift = drifts.KernelDrift(kernels.Gaussian(1.0), relative=other)
            model = DriftModel(generators.MLP(2, hidden_dims=(8,)), drift)
            annealing = callbacks.BandwidthAnnealing(plan)
            if relative == other:
                annealing.set_model(model)
                assert model.run.schedule is plan.schedule
                DriftModel(model.generator, drift, bandwidth_schedule=plan)
                continue
            with pytest.raises(ValueError, match="in different units"):
                annealing.set_model(model)
            with pytest.raises(ValueError, match="in different units"):
                DriftModel(model.generator, drift, bandwidth_schedule=plan)


def followed(plan, epochs, model=None, **options):
    """The messages of the warnings of a `fit` that follows a plan."""
    model = small_model([1.0, 0.25]) if model is None else model
    annealing = [callbacks.BandwidthAnnealing(plan)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(
            DATA,
            batch_size=16,
            epochs=epochs,
            verbose=0,
            callbacks=annealing,
            **options,
        )
    return [str(each.message) for each in caught if "plan" in str(each.message)]


def test_a_plan_for_another_number_of_steps_warns_once():
    plan = spectral.plan_training(DATA, 8, verbose=False)
    assert followed(plan, epochs=2) == []  # of four steps each
    (message,) = followed(plan, epochs=1)
    assert "is for 8 steps" in message
    assert "from step 0 to 4" in message
    (message,) = followed(plan, epochs=3)
    assert "from step 0 to 12" in message


def test_the_steps_of_a_plan_count_from_those_of_the_optimizer():
    plan = spectral.plan_training(DATA, 8, verbose=False)
    model = small_model([1.0, 0.25])
    assert len(followed(plan, 1, model)) == 1
    # The run is complete now, by another `fit` or by a resumed one.
    assert followed(plan, 2, model, initial_epoch=1) == []
    (message,) = followed(plan, 2, model)
    assert "from step 8 to 16" in message


def test_the_batches_before_a_checkpoint_count_once(tmp_path):
    plan = spectral.plan_training(DATA, 8, verbose=False)
    saved = callbacks.TrainingCheckpoint(tmp_path, save_freq=1)

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations == 3:
                raise KeyboardInterrupt

    model = small_model([1.0, 0.25])
    with pytest.raises(KeyboardInterrupt):
        model.fit(
            DATA, batch_size=16, epochs=2, verbose=0, callbacks=[saved, Stop()]
        )
    annealing = callbacks.BandwidthAnnealing(plan)
    resumed = small_model([1.0, 0.25])
    saved = callbacks.TrainingCheckpoint(tmp_path, save_freq=1)
    resumed.fit(
        DATA, batch_size=16, epochs=2, verbose=0, callbacks=[saved, annealing]
    )
    assert resumed.optimizer.iterations == 8


def test_frozen_steps_are_steps_of_a_plan():
    plan = spectral.plan_training(DATA, 8, verbose=False)
    model = small_model([1.0, 0.25])
    model.frozen_steps = 2
    assert followed(plan, 1, model) == []
    (message,) = followed(plan, 2, small_model([1.0, 0.25]), steps_per_epoch=1)
    assert "from step 0 to 2" in message


def test_a_plan_for_particles_may_be_followed_for_longer():
    plan = spectral.plan_annealing(DATA, verbose=False)
    assert 8 < plan.num_steps < 40
    assert followed(plan, 20) == []
    (message,) = followed(plan, 2)
    assert f"is for {plan.num_steps} steps" in message
    # A schedule that is no plan has no number of steps to keep.
    assert followed(plan.schedule, 2) == []


class Without(drifts.VelocityDrift):
    """A drift without a bandwidth."""
