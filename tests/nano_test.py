"""`examples/nano.py` and the library compute the same."""

import pathlib
import runpy
import sys
import types

import keras
import numpy as np
import pytest

from contracts import numpy
from keras_drift import DriftModel
from keras_drift import drifts
from keras_drift import generators
from keras_drift import kernels
from small_models import prepared

EXAMPLE = pathlib.Path(__file__).parents[1] / "examples/nano.py"
BANDWIDTH = 0.3


@pytest.fixture(scope="module")
def nano():
    return types.SimpleNamespace(**runpy.run_path(str(EXAMPLE)))


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    generator = generators.MLP(2, noise_dim=5, hidden_dims=(16, 12))
    drift = drifts.KernelDrift(kernels.Laplacian(BANDWIDTH))
    return DriftModel(generator, drift, step_size=0.7, seed=0)


@pytest.fixture(scope="module")
def data(nano):
    return nano.two_moons(40, np.random.default_rng(0)).astype("float32")


def weights_of(model):
    return [w.astype("float64") for w in model.generator.get_weights()]


def test_field_is_that_of_the_library(nano, data):
    x = np.random.default_rng(1).normal(size=(12, 2)).astype("float32")
    x[0] = 40.0  # where every kernel underflows
    drift = drifts.KernelDrift(kernels.Laplacian(BANDWIDTH))
    np.testing.assert_allclose(
        numpy(drift(x, data)), nano.drift(x, data, BANDWIDTH), atol=2e-5
    )


def test_samples_are_those_of_the_library(nano, model):
    noise = model.generator.sample_noise(7, seed=0)["noise"]
    samples, _ = nano.generate(weights_of(model), noise)
    np.testing.assert_allclose(
        samples, model.generate(7, seed=0), rtol=1e-5, atol=1e-6
    )


def test_step_of_training_is_that_of_the_library(nano, model, data):
    before = weights_of(model)
    noise = numpy(prepared(model, data).inputs["noise"])
    model.compile(keras.optimizers.SGD(1.0))
    loss = model.train_on_batch(data)[0]
    expected, gradients, velocity = nano.loss_and_gradients(
        before, noise.astype("float64"), data, BANDWIDTH, step_size=0.7
    )
    assert velocity.shape == (len(noise), 2)
    assert float(loss) == pytest.approx(expected, rel=1e-4)
    moved = [b - a for b, a in zip(before, weights_of(model), strict=True)]
    for one, two in zip(moved, gradients, strict=True):
        np.testing.assert_allclose(one, two, rtol=2e-3, atol=2e-6)


def test_gradients_are_those_of_the_loss(nano, model, data):
    weights, rng = weights_of(model), np.random.default_rng(0)
    noise = rng.normal(size=(6, 5))
    samples, kept = nano.generate(weights, noise)
    target = samples + 0.1 * rng.normal(size=samples.shape)

    def loss():
        return np.mean((nano.generate(weights, noise)[0] - target) ** 2)

    upstream = 2 * (samples - target) / samples.size
    found = nano.gradients(weights, kept, upstream)
    for weight, gradient in zip(weights, found, strict=True):
        place = tuple(size // 2 for size in weight.shape)
        values = []
        for change in (1e-5, -2e-5):
            weight[place] += change
            values.append(loss())
        weight[place] += 1e-5
        slope = (values[0] - values[1]) / 2e-5
        assert gradient[place] == pytest.approx(slope, rel=1e-5, abs=1e-10)


def test_training_moves_samples_to_the_data(nano, capsys):
    rng = np.random.default_rng(0)
    data = nano.two_moons(400, rng)
    distances = []
    for steps in (1, 60):
        weights = nano.train(data, steps, np.random.default_rng(0), batch=64)
        noise = rng.normal(size=(400, len(weights[0])))
        samples, _ = nano.generate(weights, noise)
        distances.append(nano.energy_distance(samples, data))
    assert distances[1] < 0.3 * distances[0]
    assert "drift norm" in capsys.readouterr().out


def test_script_runs_with_numpy_alone(nano, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["nano.py", "--steps", "2"])
    samples = nano.main()
    assert samples.shape == (1000, 2)
    assert "the floor" in capsys.readouterr().out
    imports = [
        line.split()[1]
        for line in EXAMPLE.read_text().splitlines()
        if line.startswith(("import ", "from "))
    ]
    assert imports == ["argparse", "itertools", "numpy"]
