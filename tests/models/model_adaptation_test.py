import keras
import numpy as np
import pytest

import user_line
from contracts import numpy
from keras_drift import DriftModel
from keras_drift import callbacks
from keras_drift import datasets
from keras_drift import drifts
from keras_drift import encoders
from keras_drift import kernels
from keras_drift import schedules
from keras_drift import spectral
from small_models import class_mlp
from small_models import small_mlp

DATA = datasets.spirals(256, seed=0)


def model_with(bandwidth="auto", seed=0, **options):
    keras.utils.set_random_seed(seed)
    drift = drifts.KernelDrift(kernels.Gaussian(bandwidth))
    return DriftModel(small_mlp(), drift, seed=seed, **options)


def fit(model, data=DATA, **options):
    options = {"batch_size": 64, "epochs": 1, "verbose": 0, **options}
    return model.fit(data, **options).history


def width_of(model):
    return float(np.max(numpy(model.drift.bandwidth)))


def test_adapts_to_samples_as_the_drift_does():
    model = model_with()
    model.adapt(DATA, verbose=False)
    drift = drifts.KernelDrift(kernels.Gaussian("auto"))
    drift.adapt(DATA, verbose=False)
    np.testing.assert_array_equal(
        numpy(model.drift.bandwidth), numpy(drift.bandwidth)
    )


def test_auto_is_refused_before_anything_is_compiled(monkeypatch):
    model = model_with()
    model.compile("sgd")
    monkeypatch.setattr(
        keras.Model, "fit", lambda *args, **kwargs: pytest.fail("compiled")
    )
    for use in (
        model.fit,
        model.evaluate,
        model.train_on_batch,
        model.test_on_batch,
    ):
        with pytest.raises(ValueError, match=r"model\.adapt\(data\)"):
            use(DATA)


def test_auto_can_be_given_a_schedule_and_be_generated_from(tmp_path):
    schedule = schedules.ExponentialAnnealing(1.0, 0.5, rate=1.0)
    model = model_with(bandwidth_schedule=schedule)
    assert model.generate(3, seed=0).shape == (3, 2)
    model.save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras")
    assert model.drift.kernel.needs_adapt
    plan = spectral.plan_training(DATA, 8, verbose=False)
    with pytest.raises(ValueError, match="not adapted yet"):
        callbacks.BandwidthAnnealing(plan).set_model(model)


def test_a_compiled_step_sees_the_new_bandwidth():
    # A learning rate of zero: the loss depends on the noise and the bandwidth.
    def loss_of(model):
        model.seed_generator.state.assign(noise)
        model.reset_metrics()
        return model.train_on_batch(DATA, return_dict=True)["loss"]

    fitted = model_with(3.0)
    noise = numpy(fitted.seed_generator.state).copy()
    fitted.compile(keras.optimizers.SGD(0.0))
    losses = [loss_of(fitted), loss_of(fitted)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    evaluated = fitted.evaluate(DATA, verbose=0)
    fitted.adapt(DATA, verbose=False)
    fresh = DriftModel.from_config(fitted.get_config())
    fresh.set_weights(fitted.get_weights())
    fresh.compile(keras.optimizers.SGD(0.0))
    found = loss_of(fitted)
    assert found == pytest.approx(loss_of(fresh), rel=1e-5)
    assert abs(found / losses[0] - 1) > 0.05
    found = fitted.evaluate(DATA, verbose=0)
    np.testing.assert_allclose(
        found, fresh.evaluate(DATA, verbose=0), rtol=1e-5
    )
    assert abs(found[0] / evaluated[0] - 1) > 0.05


def test_a_schedule_follows_the_new_ratios():
    drift = drifts.Sum(
        [
            drifts.KernelDrift(kernels.Gaussian(1.0)),
            drifts.KernelDrift(kernels.Laplacian(0.001)),
        ]
    )
    model = DriftModel(small_mlp(), drift, seed=0)
    model.compile("sgd")
    schedule = schedules.ExponentialAnnealing(2.0, 0.5, rate=10.0)
    annealing = [callbacks.BandwidthAnnealing(schedule)]
    fit(model, callbacks=annealing)
    model.adapt(DATA, verbose=False)
    fit(model, callbacks=annealing)
    initial = drift.initial_bandwidth
    np.testing.assert_allclose(
        numpy(drift.bandwidth), 0.5 * initial / initial.max(), rtol=1e-5
    )


def test_the_same_bandwidth_again_compiles_nothing():
    model = model_with()
    model.adapt(DATA, verbose=False)
    model.compile("sgd")
    fit(model)
    step = model.train_function
    model.adapt(DATA, verbose=False)
    fit(model)
    assert model.train_function is step


@pytest.mark.parametrize("annealed", [False, True])
def test_a_saved_model_keeps_the_bandwidth(annealed, tmp_path):
    model = model_with()
    model.adapt(DATA, verbose=False)
    initial = model.drift.initial_bandwidth
    if annealed:
        model.drift.anneal(0.02)
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    assert width_of(copy) == width_of(model)
    np.testing.assert_array_equal(copy.drift.initial_bandwidth, initial)
    model.save_to_preset(str(tmp_path / "preset"))
    copy = DriftModel.from_preset(str(tmp_path / "preset"))
    assert width_of(copy) == width_of(model)
    # Weights alone, into a model that was made anew.
    model.save_weights(tmp_path / "model.weights.h5")
    copy = model_with()
    copy.load_weights(tmp_path / "model.weights.h5")
    copy.compile("sgd")
    fit(copy)
    assert width_of(copy) == width_of(model)
    clone = DriftModel.from_config(model.get_config())
    np.testing.assert_array_equal(clone.drift.initial_bandwidth, initial)


def test_an_encoder_is_applied_in_batches():
    images = np.random.default_rng(0).normal(size=(75, 4, 4, 1))
    images = images.astype("float32")
    network = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Conv2D(3, 2, strides=2)]
    )
    encoder = encoders.Pretrained(network)
    features = encoder(images)
    widths = []
    for batch_size in (7, 75, 500):
        generator = image_generator()
        drift = drifts.KernelDrift(kernels.Laplacian("auto"), relative=True)
        model = DriftModel(generator, drift, encoder=encoder)
        model.adapt(images, batch_size=batch_size, verbose=False)
        widths.append(width_of(model))
    assert widths[0] == pytest.approx(widths[1], rel=1e-4)
    assert widths[1] == pytest.approx(widths[2], rel=1e-4)
    expected = drifts.KernelDrift(kernels.Laplacian("auto"), relative=True)
    spectral.bandwidth_adaptation.adapt_features(
        lambda name: expected,
        {name: numpy(value) for name, value in features.items()},
        verbose=False,
    )
    assert widths[1] == pytest.approx(float(expected.bandwidth[0]), rel=1e-4)


def image_generator():
    from keras_drift.generators import DiT

    return DiT((4, 4, 1), hidden_dim=8, depth=1, num_heads=1, patch_size=2)


def test_features_of_weight_zero_do_not_count():
    images = np.random.default_rng(0).normal(size=(60, 4, 4, 1))
    images = images.astype("float32")
    encoder = encoders.Pooled(encoders.Identity())
    names = sorted(encoder(images))

    def adapted(**options):
        drift = drifts.KernelDrift(kernels.Gaussian("auto"))
        model = DriftModel(image_generator(), drift, encoder=encoder, **options)
        model.adapt(images, verbose=False)
        return width_of(model)

    only = adapted(loss_weights={names[0]: 1.0, "*": 0.0})
    expected = drifts.KernelDrift(kernels.Gaussian("auto"))
    spectral.bandwidth_adaptation.adapt_features(
        lambda name: expected,
        {names[0]: numpy(encoder(images)[names[0]])},
        verbose=False,
    )
    assert only == pytest.approx(float(expected.bandwidth[0]), rel=1e-4)
    assert adapted() != pytest.approx(only, rel=1e-3)


def test_labels_are_classes_and_may_come_along():
    rng = np.random.default_rng(0)
    labels = np.arange(300, dtype="int32") % 3
    samples = rng.normal(size=(300, 2)) + 50.0 * labels[:, None]
    samples = samples.astype("float32")
    widths = []
    for arguments in ((samples, labels), ((samples, labels),)):
        model = DriftModel(class_mlp(), "mmd_drift", seed=0)
        model.adapt(*arguments, verbose=False)
        widths.append(width_of(model))
    assert widths[0] == widths[1] < 2
    with pytest.raises(ValueError, match="num_classes=3, y=None"):
        model.adapt(samples)
    with pytest.raises(ValueError, match="from 0 to 2"):
        model.adapt(samples, labels + 1)


def test_names_what_it_cannot_use():
    model = model_with(0.4)
    batches = datasets.GroupedDataset(DATA, positives=8)
    for x, error, message in (
        (batches, TypeError, "x=GroupedDataset"),
        (iter([DATA]), TypeError, "arrays of samples"),
        (np.zeros((9, 3), "float32"), ValueError, r"x\.shape=\(9, 3\)"),
        (np.zeros((9, 2), "int32"), ValueError, "floats"),
    ):
        with pytest.raises(error, match=message):
            model.adapt(x)
    with pytest.raises(ValueError, match="y=labels"):
        model.adapt(DATA, np.zeros(256, "int32"))
    with pytest.raises(ValueError, match="batch_size=0"):
        model.adapt(DATA, batch_size=0)
    model.drift = "energy_distance_drift"
    with pytest.raises(ValueError, match="drift=EnergyDistanceDrift"):
        model.adapt(DATA)


def test_cannot_adapt_while_fitting():
    model = model_with(0.4)
    model.compile("sgd")
    adapting = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda *_: model.adapt(DATA)
    )
    with pytest.raises(ValueError, match="while `fit` is running"):
        fit(model, callbacks=[adapting])


def test_warns_where_a_schedule_sets_the_bandwidth():
    schedule = schedules.ExponentialAnnealing(1.0, 0.5, rate=1.0)
    model = model_with(0.4, bandwidth_schedule=schedule)
    with user_line.warns("bandwidth_schedule"):
        model.adapt(DATA, verbose=False)
