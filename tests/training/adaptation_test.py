"""Shares of signal, as training, evaluation and flows treat them."""

import keras
import numpy as np

from contracts import numpy
from keras_drift import DriftModel
from keras_drift import callbacks
from keras_drift import datasets
from keras_drift import drifts
from keras_drift import encoders
from keras_drift import flows
from keras_drift import generators
from keras_drift import kernels
from keras_drift import spectral

DATA = datasets.two_moons(256, seed=0)
WIDTHS = [2.0, 0.5]


def ladder(**options):
    options = {"signal_share": True, **options}
    return drifts.KernelDrift(kernels.Gaussian(WIDTHS), **options)


def small_model(drift, **options):
    keras.utils.set_random_seed(0)
    mlp = generators.MLP(2, hidden_dims=(8,))
    model = DriftModel(mlp, drift, seed=0, **options)
    model.compile(keras.optimizers.SGD(1e-3))
    return model


def fit(model, data=DATA, epochs=1, **options):
    return model.fit(data, batch_size=64, epochs=epochs, verbose=0, **options)


def shares(model):
    return numpy(model.drift.shares)


def test_training_measures_the_shares():
    """High far from the data, low where model and data agree."""
    far = small_model(ladder())
    fit(far, DATA + 6.0, epochs=2)
    assert np.all(shares(far) > 0.9)
    noise = keras.Input((2,))
    same = keras.layers.Dense(2, kernel_initializer="identity")(noise)
    generator = generators.Functional(keras.Model(noise, same))
    model = DriftModel(generator, ladder(), seed=0)
    model.compile(keras.optimizers.SGD(1e-9))
    fit(model, np.random.default_rng(0).normal(size=(256, 2)), epochs=40)
    assert np.all(shares(model) < 0.5)


def test_a_step_uses_the_shares_before_it():
    """The first one trains as without them."""
    one, two = (small_model(ladder(signal_share=s)) for s in (True, False))

    def losses():
        return [
            model.train_on_batch(DATA[:64], return_dict=True)["loss"]
            for model in (one, two)
        ]

    np.testing.assert_allclose(*losses(), rtol=1e-6)
    assert np.any(shares(one) != 1.0)
    reduced, full = losses()
    assert reduced < full


def test_reading_changes_no_share():
    model, watched = small_model(ladder()), small_model(ladder())
    fit(model, epochs=2)
    fit(
        watched,
        epochs=2,
        validation_data=DATA[:64],
        callbacks=[callbacks.DriftMonitor(DATA[:32])],
    )
    np.testing.assert_array_equal(shares(watched), shares(model))
    before = shares(model)
    model.evaluate(DATA, verbose=0)
    model.test_on_batch(DATA[:64])
    model.drift(DATA[:64], DATA[64:128])
    model.drift.signal(DATA[:64], DATA[64:128])
    np.testing.assert_array_equal(shares(model), before)


def test_shares_are_saved_with_the_model(tmp_path):
    model = small_model(ladder())
    fit(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(shares(loaded), shares(model))
    assert loaded.drift.needs_signal


def test_frozen_steps_measure_once():
    model = small_model(ladder(), frozen_steps=3)
    model.train_on_batch(DATA[:64])
    assert np.all(shares(model) > 1.0 - 2 * 0.1)


def test_drifts_of_features_have_shares_of_their_own():
    """Beside one that has none, and cannot measure any."""
    features = encoders.Union(
        {"a": encoders.Identity(), "b": encoders.Identity()}
    )
    drift = {"a*": ladder(), "*": drifts.KernelDrift(normalization="dual")}
    model = small_model(drift, encoder=features)
    fit(model)
    assert np.any(numpy(model.drift.drifts[0].shares) != 1.0)


def test_features_of_several_dimensions_share_them():
    """Two fields, one drift: one measurement for each step."""
    wide = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    model = small_model(ladder(), encoder=encoders.Union({"wide": wide}))
    model.train_on_batch(DATA[:64])
    assert np.all(shares(model) > 1.0 - 2 * 0.1)
    assert np.any(shares(model) != 1.0)


def test_particles_have_them_too():
    flow = flows.ParticleFlow(ladder(), 1.0, metrics={})
    start = np.random.default_rng(1).normal(size=(128, 2))
    flow.run(start, DATA[:128], num_steps=3)
    assert np.any(numpy(flow.drift.shares) != 1.0)
    flow.run(flow.snapshots[-1], DATA[:128], num_steps=200)
    # The coarse structure is there: what is left of its field is noise.
    assert numpy(flow.drift.shares)[0] < 0.5


def test_the_order_of_particles_does_not_matter():
    found = []
    points = np.sort(np.random.default_rng(1).normal(size=(128, 1)), axis=0)
    for order in (1, -1):
        flow = flows.ParticleFlow(ladder(), 1e-9, metrics={})
        flow.run(points[::order], points + 3.0, num_steps=20)
        found.append(numpy(flow.drift.shares))
    assert np.all(np.array(found) > 0.8)
    np.testing.assert_allclose(*found, atol=0.1)


def test_a_ladder_with_shares_has_the_planned_rates_at_first():
    plan = spectral.plan_bandwidths(k_min=1.0, k_max=10.0, verbose=False)
    drift = drifts.KernelDrift(
        plan.kernel, bandwidth_weights=plan.weights, signal_share=True
    )
    k = np.array([1.0, 3.0, 10.0])
    found = spectral.measure_decay(drift, k, dim=1)
    rates = [
        spectral.dispersion(kernels.Gaussian(float(width)), k, dim=1)
        for width in plan.kernel.initial_bandwidth
    ]
    expected = np.asarray(plan.weights) @ np.asarray(rates)
    np.testing.assert_allclose(found, expected, rtol=0.05)
    drift.shares.assign(np.full(len(plan.weights), 0.5))
    halved = spectral.measure_decay(drift, k, dim=1)
    np.testing.assert_allclose(halved, found / 2, rtol=1e-3)
