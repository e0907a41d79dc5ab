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
from keras_drift import metrics
from keras_drift import schedules
from small_models import fitted
from small_models import gaussian_model
from small_models import prepared
from small_models import small_mlp

BACKEND = keras.backend.backend()


def test_logs_hold_the_loss_and_the_raw_norm(points):
    history = fitted(DriftModel(small_mlp(), seed=0), points).history
    assert sorted(history) == ["drift_norm", "loss"]
    assert history["drift_norm"][0] > 0


def test_logs_hold_compiled_metrics_and_validation(points):
    history = fitted(
        DriftModel(small_mlp(), seed=0),
        points,
        compile_options={"metrics": [metrics.SlicedWasserstein()]},
        validation_split=0.25,
    ).history
    assert "sliced_wasserstein" in history
    assert "val_sliced_wasserstein_floor" in history


def test_noise_differs_between_steps_and_depends_on_the_seed(points):
    def losses():
        model = DriftModel(small_mlp(), seed=7)
        model.generator.set_weights(
            [np.full(w.shape, 0.1) for w in model.generator.get_weights()]
        )
        model.compile(keras.optimizers.SGD(0.0))
        return [float(model.train_on_batch(points)[0]) for _ in range(3)]

    first = losses()
    assert len(set(first)) == 3
    assert first == losses()


def test_several_steps_follow_one_frozen_field(points):
    norms = {}
    for frozen_steps in (1, 4):
        keras.utils.set_random_seed(0)
        model = gaussian_model(frozen_steps=frozen_steps)
        model.compile(keras.optimizers.SGD(0.1))
        logs = model.train_on_batch(points, return_dict=True)
        assert int(model.optimizer.iterations) == frozen_steps
        norms[frozen_steps] = logs
    # The field is that of the first step; only the regression continues.
    assert norms[4]["drift_norm"] == pytest.approx(
        norms[1]["drift_norm"], rel=1e-4
    )
    assert norms[4]["loss"] < norms[1]["loss"]


def test_negatives_are_an_independent_batch_if_the_drift_wants_one(points):
    drift = drifts.KernelDrift(self_interaction="independent")
    model = DriftModel(small_mlp(), drift, seed=0)
    history = fitted(model, points).history
    assert np.isfinite(history["loss"][0])
    batch = prepared(model, points)
    assert batch.negatives.shape == (64, 2)
    assert np.abs(numpy(batch.negatives) - numpy(model(batch))).min() > 0


def test_number_of_generated_samples_can_differ_from_the_data(points):
    model = DriftModel(small_mlp(), num_generated=5, seed=0)
    assert prepared(model, points).inputs["noise"].shape == (5, 8)
    assert np.isfinite(fitted(model, points).history["loss"][0])


@pytest.mark.skipif(BACKEND != "tensorflow", reason="as TensorFlow traces")
def test_the_first_fit_traces_the_step_once(points):
    class Counting(DriftModel):
        traces = 0

        def train_step(self, *args):
            Counting.traces += 1
            return super().train_step(*args)

    model = fitted(Counting(small_mlp(), seed=0), points).model
    assert Counting.traces == 1
    # Weights that are trained since then are known to the optimizer too.
    model.generator.trainable = False
    model.compile("adam")
    model.generator.trainable = True
    model.fit(points, epochs=1, verbose=0)
    assert Counting.traces == 2


def test_annealing_does_not_retrace(points):
    class Counting(DriftModel):
        traces = 0

        def compute_loss(self, *args, **kwargs):
            Counting.traces += 1
            return super().compute_loss(*args, **kwargs)

    model = Counting(small_mlp(), seed=0)
    schedule = schedules.ExponentialAnnealing(1.0, 0.1, rate=0.1)
    fitted(model, points, callbacks=[callbacks.BandwidthAnnealing(schedule)])
    after_one = Counting.traces
    fit = {"batch_size": 32, "epochs": 3, "verbose": 0}
    model.fit(points, **fit, callbacks=[callbacks.BandwidthAnnealing(schedule)])
    steps = 6 if BACKEND == "torch" else 0  # PyTorch does not trace
    assert Counting.traces == after_one + steps


@pytest.mark.parametrize(
    "optimizer",
    [
        {"use_ema": True},
        {"gradient_accumulation_steps": 2},
        {"global_clipnorm": 0.1},
    ],
    ids=lambda options: next(iter(options)),
)
def test_works_with_optimizers_of_keras(points, optimizer):
    model = DriftModel(small_mlp(), seed=0)
    history = fitted(
        model, points, optimizer=keras.optimizers.Adam(**optimizer), epochs=2
    )
    assert np.all(np.isfinite(history.history["loss"]))
    assert np.all(np.isfinite(model.generate(3, seed=0)))


def test_averaged_weights_survive_sampling(points, tmp_path):
    # keras-team/keras#20851: on JAX, sampling used to delete the averages.
    model = DriftModel(small_mlp(), seed=0)
    fitted(model, points, optimizer=keras.optimizers.Adam(use_ema=True))
    model.generate(3, seed=0)
    model.save(tmp_path / "model.keras")
    history = model.fit(points, batch_size=32, verbose=0)
    assert np.isfinite(history.history["loss"][0])


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_trains_in_mixed_precision(policy):
    # A DiT in bfloat16 only; JAX has no float16 attention on CPUs.
    data = np.zeros((32, 4, 4, 1), "float32")
    keras.config.set_dtype_policy(policy)
    try:
        if policy == "mixed_float16":
            data, generator = data[:, 0, :2, 0], small_mlp()
        else:
            generator = generators.DiT((4, 4, 1), hidden_dim=8, depth=1)
        model = DriftModel(generator, seed=0)
        history = fitted(model, data)
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(history.history["loss"][0])
    assert model.generate(2, seed=0).dtype == np.float32
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")


@pytest.mark.parametrize(
    "options",
    [
        {"run_eagerly": True},
        pytest.param(
            {"steps_per_execution": 2},
            marks=pytest.mark.skipif(
                BACKEND == "torch", reason="Keras has it on JAX and TF only"
            ),
        ),
        pytest.param(
            {"jit_compile": True},
            marks=pytest.mark.skipif(
                BACKEND == "torch", reason="needs a C++ compiler"
            ),
        ),
    ],
    ids=lambda options: next(iter(options)),
)
def test_works_with_options_of_compile(points, options):
    model = DriftModel(small_mlp(), seed=0)
    history = fitted(model, points, compile_options=options)
    assert np.isfinite(history.history["loss"][0])


def test_evaluation_does_not_change_weights(points):
    model = DriftModel(small_mlp(), seed=0)
    fitted(model, points)
    before = model.get_weights()
    logs = model.evaluate(points, verbose=0, return_dict=True)
    assert sorted(logs) == ["drift_norm", "loss"]
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_learns_eight_gaussians():
    keras.utils.set_random_seed(0)
    data = datasets.eight_gaussians(4096, seed=0)
    model = DriftModel(
        generators.MLP(2, hidden_dims=(64, 64)),
        drifts.KernelDrift(kernels.Laplacian(0.5)),
        seed=0,
    )
    model.compile(keras.optimizers.Adam(5e-3))
    before = model.generate(256, seed=0)
    model.fit(data, batch_size=256, epochs=12, verbose=0)
    after = model.generate(256, seed=0)
    fresh = datasets.eight_gaussians(256, seed=1)
    distances = [
        float(metrics.sliced_wasserstein(samples, fresh))
        for samples in (before, after)
    ]
    assert distances[0] > 0.8
    assert distances[1] < 0.3


@pytest.mark.parametrize("when", ["before compile", "after compile", "by MAE"])
def test_frozen_parts_stay_as_they_are(when):
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(256)])
    network.add(keras.layers.Reshape((16, 16, 1)))
    encoder = encoders.MAEResNet(1, base_channels=4, num_blocks=(1, 1, 1, 1))
    generator = generators.Functional(network)
    # Every layer takes part in the last feature.
    loss_weights = {"layer4_mean": 1.0, "*": 0.0}
    model = DriftModel(
        generator, encoder=encoder, loss_weights=loss_weights, seed=0
    )
    if when == "before compile":
        model.trainable = False
        model.trainable = True
    model.compile(keras.optimizers.SGD(0.1))
    if when == "after compile":
        model.trainable = True
    if when == "by MAE":
        encoders.MaskedAutoencoder(encoder)
    before = [numpy(weight) for weight in encoder.weights]
    images = np.random.default_rng(0).normal(size=(8, 16, 16, 1))
    images = images.astype("float32")
    model.fit(images, batch_size=8, verbose=0)
    model.trainable = True
    model.train_on_batch(images)
    for old, new in zip(before, encoder.weights, strict=True):
        np.testing.assert_array_equal(old, numpy(new))
    names = [weight.path for weight in generator.trainable_variables]
    assert [weight.path for weight in model.trainable_variables] == names


def half_mlp():
    return small_mlp(dtype="mixed_float16")


def test_scales_the_loss_of_a_generator_in_float16(points, tmp_path):
    scaling = keras.optimizers.LossScaleOptimizer
    for make, policy, expected in (
        (half_mlp, None, True),
        (half_mlp, "mixed_float16", True),
        (lambda: small_mlp(dtype="mixed_bfloat16"), None, False),
        (small_mlp, None, False),
    ):
        model = DriftModel(make(), dtype=policy)
        model.compile("sgd")
        assert isinstance(model.optimizer, scaling) == expected
        assert not isinstance(
            getattr(model.optimizer, "inner_optimizer", None), scaling
        )
    model = DriftModel(half_mlp(), seed=0)
    model.compile("sgd", auto_scale_loss=False)
    assert not isinstance(model.optimizer, scaling)
    model.compile(scaling(keras.optimizers.SGD(0.1)))
    assert isinstance(model.optimizer.inner_optimizer, keras.optimizers.SGD)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9))
    model.fit(points, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for one, two in zip(
        model.optimizer.variables, loaded.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(numpy(one), numpy(two))


def test_gradients_too_small_for_float16_train_a_generator(points):
    full = DriftModel(small_mlp(), step_size=1e-6, seed=0)
    half = DriftModel(half_mlp(), step_size=1e-6, seed=0)
    start = full.generator.get_weights()
    half.generator.set_weights(start)
    for model in (full, half):
        fitted(model, points, optimizer=keras.optimizers.SGD(1e3))
    for before, one, two in zip(
        start,
        full.generator.get_weights(),
        half.generator.get_weights(),
        strict=True,
    ):
        expected = np.linalg.norm(one - before)
        assert np.linalg.norm(two - before) == pytest.approx(expected, rel=0.3)
