"""Averaged weights, swapped into the model temporarily."""

import keras
import numpy as np
import pytest

from contracts import numpy
from keras_drift import DriftModel
from keras_drift import callbacks
from keras_drift import datasets
from keras_drift import drifts
from keras_drift import seed_states
from keras_drift.training import randomness
from small_models import small_mlp

DATA = datasets.eight_gaussians(32, seed=1)


def ema(**options):
    # A large momentum, so that averages differ from the weights.
    return keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.9, **options)


def generated(model):
    return model.generate(4, seed=0)


class Spy(keras.callbacks.Callback):
    """Records raw and averaged weights in the middle of training."""

    def on_train_batch_end(self, batch, logs=None):
        raw = generated(self.model)
        with self.model.averaged_weights():
            averaged = generated(self.model)
        again = generated(self.model)
        self.seen = raw, averaged, again


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_averages_can_be_swapped_in_during_training(points, policy):
    keras.config.set_dtype_policy(policy)
    try:
        weights = []
        for watching in ([], [Spy()]):
            keras.utils.set_random_seed(0)
            model = DriftModel(small_mlp(), seed=0)
            model.compile(ema())
            model.fit(
                points, batch_size=32, epochs=2, verbose=0, callbacks=watching
            )
            weights.append([numpy(v) for v in model.trainable_variables])
    finally:
        keras.config.set_dtype_policy("float32")
    raw, averaged, again = watching[0].seen
    assert np.abs(raw - averaged).max() > 1e-3
    np.testing.assert_array_equal(raw, again)
    # `fit` assigns the same averages at its end.
    np.testing.assert_allclose(averaged, generated(model), atol=1e-5)
    for alone, watched in zip(*weights, strict=True):
        np.testing.assert_array_equal(alone, watched)


def test_monitor_and_validation_use_the_averages(points):
    held_out = datasets.eight_gaussians(32, seed=1)
    keras.utils.set_random_seed(0)
    model = DriftModel(small_mlp(), seed=0)
    model.compile(ema())
    history = model.fit(
        points,
        batch_size=32,
        verbose=0,
        validation_data=held_out,
        callbacks=[callbacks.DriftMonitor(held_out)],
    ).history
    # After `fit` the model has the averages.
    after = model.evaluate(held_out, verbose=0, return_dict=True)
    assert history["val_loss"][0] == pytest.approx(after["loss"], rel=1e-5)
    assert history["monitor_drift_norm"][0] == pytest.approx(
        after["drift_norm"], rel=1e-5
    )


def test_swap_ema_weights_of_keras_still_works(points):
    losses = []
    for extra in ([], [keras.callbacks.SwapEMAWeights()]):
        keras.utils.set_random_seed(0)
        model = DriftModel(small_mlp(), seed=0)
        model.compile(ema())
        history = model.fit(
            points,
            batch_size=32,
            verbose=0,
            validation_data=points,
            callbacks=extra,
        ).history
        losses.append(history["val_loss"][0])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_without_averages_nothing_changes(points):
    model = DriftModel(small_mlp(), seed=0)
    before = generated(model)
    with model.averaged_weights():  # not compiled
        np.testing.assert_array_equal(before, generated(model))
    model.compile(ema())
    with model.averaged_weights():  # not trained: averages are zeros
        np.testing.assert_array_equal(before, generated(model))
    model.compile("adam")
    model.fit(points, verbose=0)
    before = generated(model)
    with model.averaged_weights():
        np.testing.assert_array_equal(before, generated(model))


def test_weights_are_restored_after_an_exception(points):
    model = DriftModel(small_mlp(), seed=0)
    model.compile(ema())
    model.train_on_batch(points)
    model.train_on_batch(points)
    before = generated(model)
    with pytest.raises(RuntimeError), model.averaged_weights():
        raise RuntimeError
    np.testing.assert_array_equal(before, generated(model))


def test_an_interruption_of_the_swap_leaves_the_raw_weights(
    points, monkeypatch
):
    model = DriftModel(small_mlp(), seed=0)
    model.compile(ema())
    model.train_on_batch(points)
    model.train_on_batch(points)
    before = generated(model)
    last, assign = model.trainable_variables[-1], keras.Variable.assign
    failed = []

    def interrupted(variable, value):
        if variable is last and not failed:
            failed.append(variable)
            raise KeyboardInterrupt
        return assign(variable, value)

    monkeypatch.setattr(keras.Variable, "assign", interrupted)
    with pytest.raises(KeyboardInterrupt), model.averaged_weights():
        pass
    monkeypatch.undo()
    np.testing.assert_array_equal(before, generated(model))


def test_an_interruption_of_evaluation_leaves_the_random_states(
    points, monkeypatch
):
    drift = drifts.SlicedWassersteinDrift(seed=1)
    model = DriftModel(small_mlp(), drift, seed=0)
    model.compile(ema())
    model.train_on_batch(points)
    generators = randomness.seed_generators(model)
    assert len(generators) > 1
    before = [numpy(each.state) for each in generators]
    assign, failed = seed_states.assign, []

    def interrupted(state, value):
        if state is generators[-1].state and not failed:
            failed.append(state)
            raise KeyboardInterrupt
        assign(state, value)

    monkeypatch.setattr(seed_states, "assign", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.evaluate(points, verbose=0)
    monkeypatch.undo()
    for each, state in zip(generators, before, strict=True):
        np.testing.assert_array_equal(numpy(each.state), state)


class Watch(keras.callbacks.Callback):
    """Samples and evaluations at the end of an epoch."""

    def __init__(self, stop_after=None):
        super().__init__()
        self.seen, self._stop_after = [], stop_after

    def on_epoch_end(self, epoch, logs=None):
        with self.model.averaged_weights():
            self.seen.append(generated(self.model).ravel())
        self.seen.append(self.model.evaluate(DATA, verbose=0))
        if epoch == self._stop_after:
            self.model.stop_training = True


@pytest.mark.parametrize("swap_on_epoch", [True, False])
@pytest.mark.parametrize("stop_after", [None, 1])
def test_averages_are_the_same_where_a_callback_swaps_them_in(
    points, swap_on_epoch, stop_after
):
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=swap_on_epoch)
    found = []
    for swaps in ([], [swap]):
        keras.utils.set_random_seed(0)
        model = DriftModel(small_mlp(), seed=0)
        model.compile(ema())
        watch, monitor = Watch(stop_after), callbacks.DriftMonitor(DATA)
        history = model.fit(
            points,
            batch_size=32,
            epochs=3,
            verbose=0,
            callbacks=[*swaps, watch, monitor],
        ).history
        monitored = [history["monitor_distance"], history["monitor_drift_norm"]]
        # The model ends with the averages, also where training was stopped.
        found.append([*watch.seen, *monitored, generated(model).ravel()])
    for plain, swapped in zip(*found, strict=True):
        np.testing.assert_allclose(plain, swapped, rtol=1e-4, atol=1e-5)
