"""A resumed run equals a run without interruption."""

import keras
import numpy as np
import pytest

from contracts import numpy
from keras_drift import DriftModel
from keras_drift import callbacks
from keras_drift import datasets
from keras_drift import drifts
from keras_drift import schedules
from small_models import class_mlp
from small_models import small_mlp

DATA = datasets.eight_gaussians(50, seed=0)  # no multiple of the batch size


def new_model():
    keras.utils.set_random_seed(0)
    drift = drifts.SlicedWassersteinDrift(num_projections=4)
    model = DriftModel(small_mlp(), drift, seed=3)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9))
    return model


def fit(model, data=DATA, **options):
    return model.fit(data, batch_size=16, verbose=0, **options)


def assert_same(model, other):
    for one, two in zip(model.variables, other.variables, strict=True):
        np.testing.assert_array_equal(numpy(one), numpy(two))


def test_two_calls_of_fit_equal_one():
    straight, resumed = new_model(), new_model()
    fit(straight, epochs=3)
    fit(resumed, epochs=2)
    fit(resumed, epochs=3, initial_epoch=2)
    assert_same(straight, resumed)


def test_two_calls_of_fit_on_a_data_set_equal_one(classes):
    straight, resumed = (DriftModel(class_mlp(), seed=0) for _ in range(2))
    resumed.set_weights(straight.get_weights())
    for model in (straight, resumed):
        model.compile(keras.optimizers.SGD(0.1))
    one, two = (
        datasets.GroupedDataset(*classes, positives=6) for _ in range(2)
    )
    straight.fit(one, epochs=3, verbose=0)
    resumed.fit(two, epochs=2, verbose=0)
    resumed.fit(two, epochs=3, initial_epoch=2, verbose=0)
    assert_same(straight, resumed)
    # Without `initial_epoch` a second call uses other batches.
    assert two.epoch == 3
    resumed.fit(two, epochs=1, verbose=0)
    assert two.epoch == 4


class StopError(Exception):
    pass


class StopAt(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise StopError


def test_backup_and_restore_resumes_in_another_process(tmp_path):
    straight = new_model()
    fit(straight, epochs=3)

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    first = new_model()
    with pytest.raises(StopError):
        fit(first, epochs=3, callbacks=[backup(), StopAt(2)])
    second = new_model()
    fit(second, epochs=3, callbacks=[backup()])
    assert_same(straight, second)


def test_training_state_resumes_a_run_exactly(classes):
    def new_run():
        keras.utils.set_random_seed(0)
        model = DriftModel(
            class_mlp(),
            drifts.KernelDrift(self_interaction="independent"),
            bandwidth_schedule=schedules.ExponentialAnnealing(1.0, 0.1, 0.05),
            step_size=schedules.LinearFriction(1.0, 0.5, 20),
            seed=1,
        )
        model.compile(keras.optimizers.Adam(1e-2, use_ema=True))
        return model, datasets.GroupedDataset(*classes, positives=6, seed=4)

    states = []

    class Keep(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            states.append(self.model.training_state())

    straight, data = new_run()
    straight.fit(data, epochs=3, verbose=0, callbacks=[Keep()])
    resumed, data = new_run()
    resumed.restore_training_state(states[1])
    resumed.fit(data, epochs=3, initial_epoch=2, verbose=0)
    assert_same(straight, resumed)
    assert int(numpy(resumed.optimizer.iterations)) == int(
        numpy(straight.optimizer.iterations)
    )


def test_refuses_a_state_of_another_model():
    state = new_model().training_state()
    other = DriftModel(small_mlp(), seed=0)
    other.compile("adam")
    with pytest.raises(ValueError, match="another model or optimizer"):
        other.restore_training_state(state)
    with pytest.raises(ValueError, match="without 'weights'"):
        other.restore_training_state({})


def test_schedule_of_a_callback_ends_with_fit(points):
    model = DriftModel(small_mlp(), seed=0)
    model.compile("adam")
    annealing = schedules.ExponentialAnnealing(1.0, 0.01, rate=0.5)
    model.fit(
        points, verbose=0, callbacks=[callbacks.BandwidthAnnealing(annealing)]
    )
    reached = float(numpy(model.drift.bandwidth))
    for _ in range(3):
        model.train_on_batch(points)
    assert float(numpy(model.drift.bandwidth)) == reached


def test_schedule_of_the_model_is_applied_and_saved(points, tmp_path):
    schedule = schedules.ExponentialAnnealing(1.0, 0.01, rate=0.5)
    model = DriftModel(small_mlp(), bandwidth_schedule=schedule, seed=0)
    model.compile("adam")
    logs = model.train_on_batch(points, return_dict=True)
    assert logs["bandwidth"] == pytest.approx(1.0)
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    logs = copy.train_on_batch(points, return_dict=True)
    assert logs["bandwidth"] == pytest.approx(np.exp(-0.5), rel=1e-5)
    # A callback takes precedence for one `fit`.
    other = keras.optimizers.schedules.PolynomialDecay(0.2, 100, 0.2)
    annealing = callbacks.BandwidthAnnealing(other)
    logs = copy.fit(points, verbose=0, callbacks=[annealing]).history
    assert logs["bandwidth"][0] == pytest.approx(0.2)
    logs = copy.train_on_batch(points, return_dict=True)
    assert logs["bandwidth"] == pytest.approx(np.exp(-1.5), rel=1e-5)


def swap():
    return keras.callbacks.SwapEMAWeights(swap_on_epoch=True)


def model_with_averages():
    model = new_model()
    model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9))
    return model


def assert_same_run(model, other):
    assert_same(model, other)
    pairs = zip(
        model.optimizer.variables, other.optimizer.variables, strict=True
    )
    for one, two in pairs:
        np.testing.assert_array_equal(numpy(one), numpy(two))


@pytest.mark.parametrize(
    "saving",
    [keras.callbacks.BackupAndRestore, callbacks.TrainingCheckpoint],
    ids=lambda cls: cls.__name__,
)
def test_runs_that_swap_in_averages_resume_exactly(saving, tmp_path):
    straight, first, second = (model_with_averages() for _ in range(3))
    fit(straight, epochs=3, callbacks=[swap()])
    with pytest.raises(StopError):
        fit(
            first,
            epochs=3,
            # Before the one that swaps as well as after it.
            callbacks=[swap(), saving(tmp_path / "run"), StopAt(2)],
        )
    fit(second, epochs=3, callbacks=[saving(tmp_path / "run"), swap()])
    assert_same_run(straight, second)


def test_a_run_that_swaps_in_averages_goes_on_beyond_its_last_epoch(tmp_path):
    straight, first, second = (model_with_averages() for _ in range(3))
    fit(straight, epochs=3, callbacks=[swap()])
    for model, epochs in ((first, 2), (second, 3)):
        saving = callbacks.TrainingCheckpoint(tmp_path / "run")
        fit(model, epochs=epochs, callbacks=[swap(), saving])
    assert_same_run(straight, second)


def test_the_state_between_swaps_is_that_of_training():
    states = []

    class Keep(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            in_model = self.model.get_weights()
            states.append(self.model.training_state())
            # The averages are back for the next callback.
            for one, two in zip(
                in_model, self.model.get_weights(), strict=True
            ):
                np.testing.assert_array_equal(one, two)

    straight, resumed = model_with_averages(), model_with_averages()
    fit(straight, epochs=3, callbacks=[swap(), Keep()])
    resumed.restore_training_state(states[1])
    fit(resumed, epochs=3, initial_epoch=2, callbacks=[swap()])
    assert_same_run(straight, resumed)


def test_an_exception_between_swaps_leaves_the_weights_of_training():
    class Fail(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise StopError

    plain, swapped = model_with_averages(), model_with_averages()
    with pytest.raises(StopError):
        fit(plain, epochs=3, callbacks=[Fail()])
    with pytest.raises(StopError):
        fit(swapped, epochs=3, callbacks=[swap(), Fail()])
    for one, two in zip(plain.variables, swapped.variables, strict=True):
        # Keras swaps by sums on TensorFlow, which rounds.
        np.testing.assert_allclose(numpy(one), numpy(two), atol=1e-6)
