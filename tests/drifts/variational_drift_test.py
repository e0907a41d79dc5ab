import keras
import numpy as np
import pytest
from keras import ops

import contracts
import keras_drift as kd
from keras_drift import backend
from keras_drift import energies
from keras_drift.drifts import VariationalDrift

rng = np.random.default_rng(0)
X, DATA = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 7, 3)) + 0.5


def test_contract():
    contracts.check_drift(
        VariationalDrift,
        {"energy": energies.MMD("negative_distance")},
        (2, 5, 3),
        (2, 7, 3),
        groups_independent=True,
    )


def test_takes_an_energy_its_name_or_its_config():
    assert VariationalDrift("mmd").energy.bandwidth is not None
    energy = energies.SinkhornDivergence(0.3, "distance", 7)
    drift = contracts.copy_of(VariationalDrift(energy, unit_rms=True))
    assert drift.unit_rms
    assert drift.energy.get_config() == energy.get_config()


def test_its_bandwidth_is_that_of_the_energy():
    drift = VariationalDrift(energies.SmoothedKL(0.5, num_nodes=1))
    before = contracts.numpy(drift(X, DATA))
    assert drift.initial_bandwidth == 0.5
    drift.anneal(0.25)
    narrow = VariationalDrift(energies.SmoothedKL(0.25, num_nodes=1))
    after = contracts.numpy(drift(X, DATA))
    np.testing.assert_array_equal(after, contracts.numpy(narrow(X, DATA)))
    assert np.abs(after - before).max() > 0.01
    assert VariationalDrift("sliced_wasserstein").bandwidth is None


def test_an_encoder_sees_the_samples_where_they_are():
    encoder = keras.layers.Dense(4, "tanh")
    encoder.build((None, 3))
    energy = energies.FrechetDistance(encoder)
    x, data = ops.cast(X + 1.0, "float32"), ops.cast(DATA + 1.0, "float32")
    slope = backend.gradient(lambda x: ops.sum(energy(x, data)), x)
    velocity = VariationalDrift(energy)(x, data)
    np.testing.assert_allclose(
        contracts.numpy(velocity), -5 * contracts.numpy(slope), atol=1e-4
    )


def test_unit_fields_have_unit_size():
    drift = VariationalDrift("mmd", unit_rms=True)
    velocity = contracts.numpy(drift(X, DATA))
    np.testing.assert_allclose(np.mean(velocity**2), 1, rtol=1e-5)
    plain = VariationalDrift("mmd").field(X, DATA)
    length = np.sqrt(np.sum(contracts.numpy(plain.velocity) ** 2) / 10)
    np.testing.assert_allclose(contracts.numpy(plain.norm), [length], rtol=1e-5)


@pytest.mark.parametrize("name", ["negatives", "unconditional"])
def test_takes_no_other_samples(name):
    with pytest.raises(
        ValueError, match=rf"takes no `{name}`.*{name}.shape=\(2, 5, 3\)"
    ):
        VariationalDrift("mmd").field(X, DATA, **{name: X})


def test_takes_no_weights_of_negatives():
    weights = np.ones((2, 5))
    with pytest.raises(
        ValueError, match=r"no `negative_weights`.*negative_weights.shape="
    ):
        VariationalDrift("mmd").field(X, DATA, negative_weights=weights)


def test_interacts_with_all_samples():
    with pytest.raises(TypeError, match="self_interaction"):
        VariationalDrift("mmd", self_interaction="excluded")


def test_refuses_what_it_would_ignore():
    for option in ({"block_size": 7}, {"relative": True}):
        (name,) = option
        with pytest.raises(ValueError, match=name):
            VariationalDrift("mmd", **option)


def test_a_gradient_can_be_differentiated():
    # The gradient of `sum x**4`, dotted with itself, has slope 96 x**5.
    def slope(x):
        return backend.gradient(lambda x: ops.sum(x**4), x)

    found = contracts.gradient(
        lambda x: ops.sum(slope(ops.convert_to_tensor(x)) ** 2), [1.0, -0.5]
    )
    np.testing.assert_allclose(found, [96.0, -3.0], rtol=1e-5)


def test_a_gradient_of_a_constant_is_zero():
    x = ops.ones((3,))
    found = backend.gradient(lambda x: ops.sum(ops.stop_gradient(x)), x)
    np.testing.assert_array_equal(contracts.numpy(found), np.zeros(3))


@pytest.mark.parametrize(
    "energy",
    [
        energies.SmoothedKL(0.5, num_nodes=4),
        energies.SinkhornDivergence(0.7, num_steps=5),
        energies.MMD("negative_distance"),
        energies.SlicedWasserstein(8),
        energies.FrechetDistance(),
    ],
    ids=lambda energy: type(energy).__name__,
)
def test_trains_a_model(energy):
    data = kd.datasets.two_moons(256, seed=0) + 2.0
    model = kd.DriftModel(
        kd.generators.MLP(2, hidden_dims=(16,)),
        VariationalDrift(energy),
        seed=0,
    )
    model.compile(keras.optimizers.Adam(3e-2))
    model.fit(data, batch_size=64, epochs=6, verbose=0)
    samples = model.generate(256, seed=0)
    far = np.linalg.norm(data.mean(axis=0))
    gap = np.linalg.norm(samples.mean(axis=0) - data.mean(axis=0))
    assert gap < 0.6 * far


def test_groups_and_schedules_go_through_a_model():
    data = rng.normal(size=(64, 2)).astype("float32") + 2
    labels = np.repeat([0, 1], 32)
    generator = kd.generators.MLP(2, hidden_dims=(8,), num_classes=2)
    drift = VariationalDrift(energies.SmoothedKL(1.0, num_nodes=1))
    model = kd.DriftModel(generator, drift, seed=0)
    model.compile("adam")
    schedule = kd.schedules.ExponentialAnnealing(1.0, 0.5, rate=1.0)
    annealing = kd.callbacks.BandwidthAnnealing(schedule)
    batches = kd.datasets.GroupedDataset(
        data, labels, groups_per_batch=2, positives=8
    )
    history = model.fit(batches, epochs=1, verbose=0, callbacks=[annealing])
    assert np.isfinite(history.history["loss"][-1])
    assert history.history["bandwidth"][-1] < 1


def test_polishes_a_trained_generator():
    data = kd.datasets.eight_gaussians(1024, seed=0)
    generator = kd.generators.MLP(2, hidden_dims=(32,))
    model = kd.DriftModel(generator, seed=0)
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(data, batch_size=128, epochs=5, verbose=0)

    def distance():
        samples = model.generate(1024, seed=0)
        return float(kd.metrics.frechet_distance(samples, data))

    before = distance()
    drift = VariationalDrift(energies.FrechetDistance())
    model = kd.DriftModel(generator, drift, seed=0)
    model.compile(keras.optimizers.Adam(2e-3))
    model.fit(data, batch_size=128, epochs=5, verbose=0)
    assert distance() < 0.5 * before
