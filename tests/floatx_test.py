"""`keras.config.set_floatx("float64")` changes no type that is ours."""

import keras
import numpy as np
import pytest

from contracts import numpy
from keras_drift import DriftModel
from keras_drift import datasets
from keras_drift import encoders
from keras_drift import generators
from keras_drift import metrics
from keras_drift import schedules

# JAX has no float64 unless it is told so at its start; Keras warns of that.
pytestmark = pytest.mark.filterwarnings("ignore:Explicitly requested dtype")

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(8, 2))
METRICS = (
    metrics.SlicedWasserstein,
    metrics.EnergyDistance,
    metrics.FrechetDistance,
    metrics.MaximumMeanDiscrepancy,
)


@pytest.fixture(autouse=True)
def _float64():
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)


def dtype(tensor):
    return keras.backend.standardize_dtype(tensor.dtype)


def mlp():
    return generators.MLP(2, hidden_dims=(8,))


def dit():
    return generators.DiT(
        (4, 4, 1),
        num_classes=3,
        hidden_dim=8,
        depth=1,
        num_heads=2,
        num_style_tokens=1,
    )


@pytest.mark.parametrize("metric", METRICS)
def test_metrics_compute_in_float32(metric):
    metric = metric()
    logs = metric.result()
    assert {dtype(value) for value in logs.values()} == {"float32"}
    logs = metric(POINTS, POINTS + 1)
    assert {dtype(value) for value in logs.values()} == {"float32"}
    assert {dtype(variable) for variable in metric.variables} == {"float32"}
    distance = getattr(metrics, metric.name)
    assert dtype(distance(POINTS, POINTS + 1)) == "float32"


def test_schedules_encoders_and_data_are_float32():
    for schedule in (
        schedules.ExponentialAnnealing(1.0, 0.1, 0.1),
        schedules.LinearFriction(1.0, 0.1, 3),
    ):
        assert dtype(schedule(2)) == "float32"
    assert dtype(encoders.Identity()(POINTS)["samples"]) == "float32"
    assert datasets.ArrayDataset(POINTS)[0][0].dtype == "float32"
    assert datasets.GroupedDataset(POINTS)[0][0].dtype == "float32"


@pytest.mark.parametrize("make", [mlp, dit])
def test_generators_return_float32(make):
    generator = make()
    for seed in (0, keras.random.SeedGenerator(0)):
        samples = generator(generator.sample_inputs(2, seed=seed))
        assert dtype(samples) == "float32"


def test_trains_on_features_of_a_float64_encoder():
    model = DriftModel(mlp(), encoder=keras.layers.Dense(3), seed=0)
    model.compile("adam", metrics=[metrics.SlicedWasserstein(4)])
    history = model.fit(POINTS, validation_data=POINTS, verbose=0).history
    assert all(np.all(np.isfinite(values)) for values in history.values())
    assert numpy(model.generate(2, seed=0)).dtype == "float32"
