"""After an exception the model has the state of its last complete step."""

import functools

import keras
import numpy as np
import pytest

from contracts import numpy
from keras_drift import DriftModel
from keras_drift import callbacks
from keras_drift import drifts
from small_models import small_mlp


def weights(model):
    return [numpy(v) for v in model.trainable_variables]


def assert_usable(model, points, tmp_path):
    """Checks that every use of the model still works."""
    assert np.all(np.isfinite(model.generate(3, seed=0)))
    model.predict(np.zeros((3, 8)), verbose=0)
    model.save(tmp_path / "model.keras")
    history = model.fit(points, batch_size=32, verbose=0).history
    assert np.isfinite(history["loss"][0])


def good_then(error, points):
    yield (points[:32],)
    yield (points[32:],)
    raise error


@functools.cache
def compiled(use_ema):
    """A model, compiled once, and the state it starts every training from."""
    keras.utils.set_random_seed(0)
    model = DriftModel(small_mlp(), seed=0)
    model.compile(keras.optimizers.SGD(0.1, use_ema=use_ema))
    return model, model.training_state()


@pytest.mark.parametrize("error", [OSError("disk"), KeyboardInterrupt("stop")])
@pytest.mark.parametrize("use_ema", [False, True])
def test_model_survives_a_failing_data_source(points, tmp_path, error, use_ema):
    model, start = compiled(use_ema)
    model.restore_training_state(start)
    # `tf.data` wraps the errors of a generator.
    with pytest.raises((Exception, KeyboardInterrupt), match=str(error)):
        model.fit(
            good_then(error, points), steps_per_epoch=5, epochs=1, verbose=0
        )
    # On an accelerator Keras looks one batch ahead, and meets the error sooner.
    steps = int(numpy(model.optimizer.iterations))
    assert steps > 0
    found = weights(model)
    assert_usable(model, points, tmp_path)
    model.restore_training_state(start)
    for part in (points[:32], points[32:])[:steps]:
        model.train_on_batch(part)
    for one, other in zip(found, weights(model), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


class Failing(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        raise RuntimeError("not today")

    def get_config(self):
        return {}


@pytest.mark.parametrize("use_ema", [False, True])
def test_model_survives_an_error_while_tracing_the_first_step(
    points, tmp_path, use_ema
):
    model = DriftModel(small_mlp(), seed=0)
    model.compile(keras.optimizers.SGD(0.1, use_ema=use_ema))
    before = weights(model)
    with pytest.raises(RuntimeError, match="not today"):
        model.fit(
            points,
            verbose=0,
            callbacks=[callbacks.BandwidthAnnealing(Failing())],
        )
    for old, new in zip(before, weights(model), strict=True):
        np.testing.assert_array_equal(old, new)
    assert_usable(model, points, tmp_path)


def test_model_survives_an_error_in_a_later_compilation(points, tmp_path):
    model = DriftModel(small_mlp(), seed=0)
    model.compile("adam")
    model.fit(points, batch_size=32, verbose=0)
    before = weights(model)
    with pytest.raises(RuntimeError, match="not today"):
        model.fit(
            points,
            batch_size=32,
            verbose=0,
            callbacks=[callbacks.BandwidthAnnealing(Failing())],
        )
    for old, new in zip(before, weights(model), strict=True):
        np.testing.assert_array_equal(old, new)
    assert_usable(model, points, tmp_path)


class BrokenDrift(drifts.KernelDrift):
    def field(self, *args, **kwargs):
        raise RuntimeError("not today")


def test_model_survives_an_error_in_evaluation(points, tmp_path):
    model = DriftModel(small_mlp(), seed=0)
    model.compile("adam")
    model.fit(points, batch_size=32, verbose=0)
    state = numpy(model.seed_generator.state)
    good, model.drift = model.drift, BrokenDrift()
    with pytest.raises(RuntimeError, match="not today"):
        model.evaluate(points, verbose=0)
    np.testing.assert_array_equal(state, numpy(model.seed_generator.state))
    model.drift = good
    assert_usable(model, points, tmp_path)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_averages_survive_functions_that_donate_arrays(
    points, tmp_path, policy
):
    # keras-team/keras#20851: on JAX weight and average shared one array.
    keras.config.set_dtype_policy(policy)
    try:
        model = DriftModel(small_mlp(), seed=0)
        model.compile(keras.optimizers.SGD(0.01, use_ema=True))
        model.fit(points, batch_size=32, verbose=0)
        model.fit(points, batch_size=32, verbose=0)
        assert_usable(model, points, tmp_path)
        model.evaluate(points, verbose=0)
        assert_usable(model, points, tmp_path)
    finally:
        keras.config.set_dtype_policy("float32")


def test_fit_before_compile_raises_the_error_of_keras(points):
    model = DriftModel(small_mlp(), seed=0)
    for use in (
        lambda: model.fit(points, verbose=0),
        lambda: model.evaluate(points, verbose=0),
        lambda: model.train_on_batch(points),
        lambda: model.test_on_batch(points),
    ):
        with pytest.raises(ValueError, match=r"must call `compile\(\)`"):
            use()
