import keras
import numpy as np
import pytest

from contracts import numpy
from keras_drift import DriftModel
from keras_drift import callbacks
from keras_drift import datasets
from keras_drift import drifts
from keras_drift import encoders
from keras_drift import generators
from keras_drift import kernels
from keras_drift import schedules
from keras_drift import spectral

DATA = datasets.two_moons(256, seed=0)


def small_model(drift=None, learning_rate=0.1, **options):
    if drift is None:
        drift = drifts.KernelDrift(kernels.Gaussian([1.0, 0.25]))
    keras.utils.set_random_seed(0)
    mlp = generators.MLP(2, hidden_dims=(8,))
    model = DriftModel(mlp, drift, seed=0, **options)
    model.compile(keras.optimizers.SGD(learning_rate))
    return model


def fit(model, *others, epochs=1, data=DATA, **options):
    given = callbacks.AdaptiveBandwidth(
        **{"initial": 2.0, "final": 0.1, **options}
    )
    return model.fit(
        data,
        batch_size=64,
        epochs=epochs,
        verbose=0,
        callbacks=[given, *others],
    ).history


def widths(model):
    return numpy(model.drift.bandwidth)


@pytest.mark.parametrize("shift", [4.0, 0.0])
def test_stays_wide_while_there_is_signal_and_falls_in_noise(shift):
    """A generator of a normal distribution, far from the data and on them."""
    noise = keras.Input((2,))
    same = keras.layers.Dense(2, kernel_initializer="identity")(noise)
    generator = generators.Functional(keras.Model(noise, same))
    drift = drifts.KernelDrift(kernels.Gaussian([1.0, 0.25]))
    model = DriftModel(generator, drift, seed=0)
    model.compile(keras.optimizers.SGD(1e-9))
    data = np.random.default_rng(0).normal(size=(256, 2)) + shift
    logs = fit(model, data=data, epochs=10)["bandwidth"]
    assert logs[0] > 1.5
    assert logs[-1] == pytest.approx(2.0) if shift else logs[-1] < 1.6
    np.testing.assert_allclose(
        widths(model), logs[-1] * np.array([1.0, 0.25]), rtol=1e-5
    )


def test_never_leaves_its_bounds():
    model = small_model()
    logs = fit(model, epochs=3, initial=0.3, final=0.299, threshold=0.99)
    assert logs["bandwidth"][-1] == pytest.approx(0.299)


def test_continues_with_the_bandwidth_of_the_model(tmp_path):
    """A model from a file, with what the optimizer has done."""
    model, copy = small_model(), small_model()
    fit(model, epochs=1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(widths(loaded), widths(model))
    state = model.training_state()
    copy.restore_training_state(state)
    for each in (model, copy):
        fit(each, epochs=2)
    np.testing.assert_array_equal(widths(copy), widths(model))
    for one, two in zip(model.get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_new_model_starts_at_the_initial_bandwidth():
    model = small_model()
    model.drift.anneal(0.15)
    fit(model, initial=2.0, final=1.9)
    assert widths(model)[0] >= 1.9


def test_validation_and_monitors_change_nothing():
    plain, watched = small_model(), small_model()
    fit(plain, epochs=2)
    given = callbacks.AdaptiveBandwidth(2.0, 0.1)
    watched.fit(
        DATA,
        batch_size=64,
        epochs=2,
        verbose=0,
        validation_data=DATA[:64],
        callbacks=[given, callbacks.DriftMonitor(DATA[:32])],
    )
    watched.evaluate(DATA[:64], verbose=0)
    np.testing.assert_array_equal(widths(watched), widths(plain))


def test_takes_precedence_over_the_schedule_of_the_model():
    schedule = schedules.ExponentialAnnealing(9.0, 8.0, rate=1.0)
    model = small_model(bandwidth_schedule=schedule)
    fit(model)
    assert widths(model)[0] <= 2.0


@pytest.mark.parametrize("frozen_steps", [1, 4])
def test_measures_once_for_each_field(frozen_steps):
    model = small_model(frozen_steps=frozen_steps, learning_rate=1e-4)
    fit(model, threshold=0.999)
    # One measurement in four batches, of at most a tenth.
    assert 2.0 * np.exp(-0.1) < widths(model)[0] < 2.0


def test_takes_a_plan():
    plan = spectral.plan_training(DATA, 40, verbose=False)
    model = small_model(drifts.KernelDrift(plan.kernel))
    given = callbacks.AdaptiveBandwidth(plan)
    logs = model.fit(
        DATA, batch_size=64, epochs=2, verbose=0, callbacks=[given]
    ).history["bandwidth"]
    assert plan.schedule.final < logs[-1] < 1.01 * plan.schedule.initial
    wrong = small_model(drifts.KernelDrift(kernels.Laplacian()))
    with pytest.raises(ValueError, match="plan is for its own kernel"):
        given.set_model(wrong)


def test_adapts_the_drifts_of_features_together():
    features = encoders.Union(
        {"a": encoders.Identity(), "b": encoders.Identity()}
    )
    mixed = {
        "a*": drifts.KernelDrift(kernels.Gaussian(1.0)),
        "*": drifts.MMDDrift(kernels.Gaussian(0.5)),
    }
    model = small_model(mixed, encoder=features)
    fit(model)
    wide, narrow = (numpy(drift.bandwidth) for drift in model.drift.drifts)
    assert wide != 1.0
    np.testing.assert_allclose(narrow, wide / 2, rtol=1e-5)


def test_a_feature_without_a_bandwidth_has_no_say():
    features = encoders.Union(
        {"a": encoders.Identity(), "b": encoders.Identity()}
    )
    found = []
    for other in (drifts.EnergyDistanceDrift(), None):
        mixed = {"a*": drifts.KernelDrift(kernels.Gaussian(1.0))}
        weights = {"*": 0.0}
        if other is not None:
            mixed, weights = {**mixed, "*": other}, {"b*": 1.0, "*": 1.0}
        weights = {"a*": 1.0, **weights}
        drift = mixed if other is not None else mixed["a*"]
        model = small_model(
            drift,
            encoder=features,
            loss_weights=weights,
            step_size=1e-9,
        )
        fit(model)
        found.append(np.max(widths(model)))
    np.testing.assert_allclose(*found, rtol=1e-4)


def test_refuses_what_it_cannot_adapt():
    for drift, named in (
        (drifts.KernelDrift(normalization="dual"), "KernelDrift"),
        (drifts.SinkhornDrift(), "SinkhornDrift"),
        (drifts.SlicedWassersteinDrift(), "no bandwidth"),
        (drifts.Sum(["kernel_drift"]), "Sum"),
    ):
        with pytest.raises(ValueError, match=named):
            fit(small_model(drift))
    with pytest.raises(TypeError, match="model=Sequential"):
        callbacks.AdaptiveBandwidth(1.0, 0.1).set_model(keras.Sequential())
    with pytest.raises(ValueError, match="give `final`"):
        callbacks.AdaptiveBandwidth(1.0)
    annealing = callbacks.BandwidthAnnealing(lambda step: 1.0)
    with pytest.raises(ValueError, match="more than one"):
        fit(small_model(), annealing)
