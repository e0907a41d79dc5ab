import keras
import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift import DriftModel
from keras_drift import callbacks
from keras_drift import drifts
from keras_drift import kernels
from keras_drift import schedules
from keras_drift.callbacks import LearnedBandwidth
from keras_drift.training import DriftObjective
from keras_drift.training import FeatureDrifts
from keras_drift.training import TrainingBatch
from keras_drift.training.bandwidth_descent import BandwidthDescent
from small_models import small_mlp

DATA = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")


def small_model(bandwidth=1.0, drift=None, **options):
    keras.utils.set_random_seed(0)
    drift = drift or drifts.KernelDrift(kernels.Laplacian(bandwidth))
    model = DriftModel(small_mlp(), drift, seed=0, **options)
    model.compile(keras.optimizers.SGD(0.1))
    return model


def fit(model, *learned, epochs=2, **options):
    return model.fit(
        DATA,
        batch_size=32,
        epochs=epochs,
        verbose=0,
        callbacks=list(learned),
        **options,
    ).history


def bandwidth(model):
    return contracts.numpy(model.drift.bandwidth)


class Given:
    """An encoder whose features are known."""

    def __init__(self, features):
        self.features = features

    def __call__(self, samples):
        del samples
        return self.features


def test_a_step_is_one_of_gradient_descent():
    """Fields of several features: along the mean of their gradients."""
    rng = np.random.default_rng(0)
    x, y = (
        {
            name: (rng.normal(size=(n, 1, dim)) + shift).astype("float32")
            for name, dim in (("a", 2), ("b", 3))
        }
        for n, shift in ((6, 0.0), (8, 0.2))
    )
    drift = FeatureDrifts(
        {
            "a": drifts.KernelDrift(kernels.Laplacian([0.3, 0.6])),
            "*": drifts.KernelDrift(kernels.Gaussian(1.5)),
        }
    )
    gradients = [
        float(each.bandwidth_gradient(x[k][:, 0], y[k][:, 0]))
        for k, each in zip("ab", drift.drifts, strict=True)
    ]
    assert abs(gradients[0] - gradients[1]) > 0.01
    batch = TrainingBatch({}, ops.zeros((1, 8, 1)))
    objective = DriftObjective(Given(y), drift, num_generated=6)
    features = {name: ops.convert_to_tensor(v) for name, v in x.items()}
    expected = objective.targets(features, batch)
    assert all(each.bandwidth_gradient is None for each in expected.values())
    targets = objective.targets(features, batch, learn_bandwidth=True)
    # Of this step, all fields have the bandwidths that it began with.
    for name, target in targets.items():
        for step, other in zip(target.steps, expected[name].steps, strict=True):
            np.testing.assert_array_equal(
                contracts.numpy(step), contracts.numpy(other)
            )
    BandwidthDescent(0.7, 1e-3).update(
        drift, [each.bandwidth_gradient for each in targets.values()]
    )
    factor = np.exp(-0.7 * np.mean(gradients))
    np.testing.assert_allclose(
        contracts.numpy(drift.bandwidth),
        factor * np.array([0.3, 0.6, 1.5]),
        rtol=1e-5,
    )


@pytest.mark.parametrize("frozen_steps", [1, 2])
def test_learns_during_fit_only(frozen_steps):
    model = small_model(frozen_steps=frozen_steps)
    logs = fit(model, LearnedBandwidth(0.1))
    learned = bandwidth(model)
    assert abs(learned - 1.0) > 1e-3
    # Twice in an epoch, and as often with steps toward one frozen field.
    assert abs(np.log(learned)) <= 4 * 0.1 + 1e-5
    np.testing.assert_allclose(logs["bandwidth"][-1], learned, rtol=1e-6)
    model.evaluate(DATA, verbose=0)
    assert "bandwidth" not in fit(model)
    np.testing.assert_array_equal(bandwidth(model), learned)


def test_evaluation_does_not_change_the_bandwidth():
    models = [small_model(), small_model()]
    fit(models[0], LearnedBandwidth(0.1), validation_data=DATA)
    fit(models[1], LearnedBandwidth(0.1))
    np.testing.assert_array_equal(*map(bandwidth, models))


def test_a_resumed_run_is_a_straight_one():
    straight, resumed = small_model(), small_model()
    fit(straight, LearnedBandwidth(0.1))
    fit(resumed, LearnedBandwidth(0.1), epochs=1)
    fit(resumed, LearnedBandwidth(0.1), initial_epoch=1)
    np.testing.assert_array_equal(bandwidth(straight), bandwidth(resumed))


def test_the_best_of_many_samples_is_next_to_a_positive():
    """Why the published loss is degenerate for large groups."""
    model = small_model(0.1)
    fit(model, LearnedBandwidth(10.0, smallest=0.05), epochs=10)
    assert bandwidth(model) == pytest.approx(0.05, rel=1e-5)


def test_several_bandwidths_keep_their_ratio():
    model = small_model([0.2, 0.8])
    fit(model, LearnedBandwidth(0.1))
    narrow, wide = bandwidth(model)
    assert wide != pytest.approx(0.8, rel=1e-3)
    assert wide / narrow == pytest.approx(4.0, rel=1e-5)


def test_refuses_what_it_cannot_learn():
    learned = LearnedBandwidth()
    with pytest.raises(TypeError, match=r"DriftModel.*model=Sequential"):
        learned.set_model(keras.Sequential())
    for drift in (
        drifts.MMDDrift(),
        drifts.EnergyDistanceDrift(),
        drifts.Sum(["kernel_drift", drifts.KernelDrift()]),
        {"s*": drifts.KernelDrift(), "*": "mmd_drift"},
    ):
        with pytest.raises(ValueError, match="needs a `KernelDrift`"):
            learned.set_model(small_model(drift=drift))
    with pytest.raises(ValueError, match="stop_gradient=False"):
        learned.set_model(small_model(stop_gradient=False))


def test_refuses_a_schedule_beside_it():
    schedule = schedules.ExponentialAnnealing(1.0, 0.5, rate=0.1)
    annealing = callbacks.BandwidthAnnealing(schedule)
    for both in (
        (annealing, LearnedBandwidth()),
        (LearnedBandwidth(), annealing),
        (LearnedBandwidth(), LearnedBandwidth()),
    ):
        with pytest.raises(ValueError, match="more than one"):
            fit(small_model(), *both)
    # That of the model itself waits, as it does for other callbacks.
    model = small_model(bandwidth_schedule=lambda step: 5.0)
    fit(model, LearnedBandwidth(0.1))
    assert 0 < abs(np.log(bandwidth(model))) <= 4 * 0.1 + 1e-5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.0}, r"learning_rate=0\.0"),
        ({"smallest": -1.0}, r"smallest=-1\.0"),
    ],
)
def test_refuses_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        LearnedBandwidth(**options)
