import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_drift import DriftModel
from keras_drift import PowerLawGuidance
from keras_drift import callbacks
from keras_drift import datasets
from keras_drift import drifts
from keras_drift import encoders
from keras_drift import generators
from keras_drift import kernels
from keras_drift import metrics
from keras_drift import schedules
from keras_drift.models import goals

BACKEND = keras.backend.backend()


@pytest.fixture(scope="module")
def points():
    return datasets.eight_gaussians(64, seed=0)


@pytest.fixture(scope="module")
def classes():
    """Sixty points with a label each, of three classes."""
    rng = np.random.default_rng(0)
    samples = rng.uniform(-1, 1, (60, 2)).astype("float32")
    return samples, np.arange(60, dtype="int32") % 3


def small_mlp(**options):
    return generators.MLP(2, hidden_dims=(16,), **options)


def class_mlp():
    return small_mlp(num_classes=3)


def fitted(model, *data, optimizer="adam", compile_options=None, **options):
    model.compile(optimizer, **(compile_options or {}))
    options = {"batch_size": 32, "epochs": 1, "verbose": 0, **options}
    return model.fit(*data, **options)


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


# === The loss and its gradient ===


def gaussian_model(**options):
    drift = drifts.KernelDrift(kernels.Gaussian(0.7))
    return DriftModel(small_mlp(), drift, seed=0, **options)


def prepared(model, data):
    """The batch that the next step will see; the noise stays unused."""
    state = numpy(model.seed_generator.state)
    x, y, weights = model.prepare_batch((ops.convert_to_tensor(data),), False)
    model.seed_generator.state.assign(state)
    return x, y, weights


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_loss_is_the_squared_step(points, stop_gradient):
    model = gaussian_model(step_size=0.3, stop_gradient=stop_gradient)
    model.compile("adam")
    x, y, weights = prepared(model, points)
    samples = model(x)
    velocity = numpy(model.drift(samples, points))
    loss = numpy(model.compute_loss(x, y, samples, weights))
    assert float(loss) == pytest.approx(
        np.mean((0.3 * velocity) ** 2), rel=1e-5
    )


def test_gradient_is_minus_twice_the_step_over_the_number_of_samples(points):
    # The last bias shifts all samples alike, so its gradient is the sum over
    # samples of theirs.
    model = gaussian_model(step_size=0.3)
    model.compile(keras.optimizers.SGD(1.0))
    x, _, _ = prepared(model, points)
    velocity = numpy(model.drift(model(x), points))
    expected = -2 * 0.3 * velocity.sum(axis=0) / velocity.size
    bias = model.trainable_variables[-1]
    before = numpy(bias)
    model.train_on_batch(points)
    np.testing.assert_allclose(
        before - numpy(bias), expected, rtol=1e-3, atol=1e-6
    )


def test_without_stop_gradient_the_field_itself_is_trained_away(points):
    changes = []
    for stop_gradient in (True, False):
        model = gaussian_model(stop_gradient=stop_gradient)
        model.generator.set_weights(
            [np.full(w.shape, 0.1) for w in model.generator.get_weights()]
        )
        model.compile(keras.optimizers.SGD(1.0))
        model.train_on_batch(points)
        changes.append(numpy(model.trainable_variables[-1]))
    assert np.abs(changes[0] - changes[1]).max() > 1e-3


def test_loss_adds_the_features_of_an_encoder(points):
    inputs = keras.Input((2,))
    backbone = keras.Model(
        inputs, {"same": inputs * 1.0, "twice": inputs * 2.0}
    )
    drift = drifts.KernelDrift(kernels.Gaussian(0.7), relative=True)
    plain = DriftModel(small_mlp(), drift, seed=0)
    both = DriftModel(plain.generator, drift, backbone, seed=0)
    losses = []
    for model in (plain, both):
        model.compile("adam")
        x, y, weights = prepared(model, points)
        losses.append(float(numpy(model.compute_loss(x, y, model(x), weights))))
    # Relative distances do not see the scale of a feature.
    assert losses[1] == pytest.approx(2 * losses[0], rel=1e-4)


def test_every_place_of_a_feature_is_a_problem_of_its_own():
    rng = np.random.default_rng(0)
    data = rng.normal(size=(10, 4, 4, 1)).astype("float32")
    rows = keras.Sequential([keras.Input((4, 4, 1))])
    rows.add(keras.layers.Reshape((4, 4)))  # a token for each row of pixels
    generator = generators.DiT((4, 4, 1), hidden_dim=8, depth=1, num_heads=1)
    generator.set_weights(
        [rng.normal(size=w.shape) for w in generator.get_weights()]
    )
    drift = drifts.KernelDrift(kernels.Gaussian(0.7))
    model = DriftModel(generator, drift, rows, seed=0)
    model.compile("adam")
    x, y, weights = prepared(model, data)
    samples = numpy(model(x)).reshape(10, 4, 4)
    squares = [
        np.square(numpy(drift(samples[:, row], data[:, row, :, 0])))
        for row in range(4)
    ]
    loss = numpy(model.compute_loss(x, y, model(x), weights))
    assert float(loss) == pytest.approx(np.mean(squares), rel=1e-4)


def test_sample_weights_count_samples(points):
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 4, size=20)
    losses = []
    model = gaussian_model(num_generated=16)
    model.compile("adam")
    state = numpy(model.seed_generator.state)
    for data in (
        (points[:20], None, counts.astype("float32")),
        (points[:20].repeat(counts, axis=0),),
    ):
        model.seed_generator.state.assign(state)
        data = [None if d is None else ops.convert_to_tensor(d) for d in data]
        x, y, weights = model.prepare_batch(tuple(data), False)
        losses.append(float(numpy(model.compute_loss(x, y, model(x), weights))))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


# === The step ===


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


def test_noise_is_fresh_in_every_step_and_the_same_for_the_same_seed(points):
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
    # The field is that of the first step; only the regression went on.
    assert norms[4]["drift_norm"] == pytest.approx(
        norms[1]["drift_norm"], rel=1e-4
    )
    assert norms[4]["loss"] < norms[1]["loss"]


def test_negatives_are_an_independent_batch_if_the_drift_wants_one(points):
    drift = drifts.KernelDrift(self_interaction="independent")
    model = DriftModel(small_mlp(), drift, seed=0)
    history = fitted(model, points).history
    assert np.isfinite(history["loss"][0])
    x, _, _ = prepared(model, points)
    assert x["negatives"].shape == (64, 2)
    assert np.abs(numpy(x["negatives"]) - numpy(model(x))).min() > 0


def test_number_of_generated_samples_can_differ_from_the_data(points):
    model = DriftModel(small_mlp(), num_generated=5, seed=0)
    x, _, _ = prepared(model, points)
    assert x["noise"].shape == (5, 8)
    assert np.isfinite(fitted(model, points).history["loss"][0])


def test_nothing_is_traced_again_while_the_bandwidth_moves(points):
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
def test_what_keras_optimizers_can_do_still_works(points, optimizer):
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
    # In bfloat16 a DiT; JAX has no attention in float16 on CPUs.
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
def test_what_keras_compile_can_do_still_works(points, options):
    model = DriftModel(small_mlp(), seed=0)
    history = fitted(model, points, compile_options=options)
    assert np.isfinite(history.history["loss"][0])


def test_evaluation_changes_nothing_but_the_noise(points):
    model = DriftModel(small_mlp(), seed=0)
    fitted(model, points)
    before = model.get_weights()
    logs = model.evaluate(points, verbose=0, return_dict=True)
    assert sorted(logs) == ["drift_norm", "loss"]
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


# === Data sources ===


def generator_source(points):
    yield from ((points[:32],), (points[32:],))


def tf_source(points):
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices(points).batch(24)


def torch_source(points):
    data = pytest.importorskip("torch.utils.data")
    torch = pytest.importorskip("torch")
    return data.DataLoader(
        data.TensorDataset(torch.from_numpy(points)), batch_size=24
    )


def py_source(points):
    return datasets.GroupedDataset(points, positives=32)


@pytest.mark.parametrize(
    "source", [generator_source, tf_source, torch_source, py_source]
)
def test_learns_from_what_keras_learns_from(points, source):
    model = DriftModel(small_mlp(), seed=0)
    model.compile("adam")
    # Keras warns of a generator that ends unless it is told when.
    steps = 2 if source is generator_source else None
    history = model.fit(source(points), steps_per_epoch=steps, verbose=0)
    assert np.isfinite(history.history["loss"][0])


def test_samples_and_labels_are_put_into_groups(classes):
    model = DriftModel(class_mlp(), seed=0)
    history = fitted(model, *classes, validation_data=classes, epochs=2).history
    assert np.all(np.isfinite(history["val_loss"]))
    assert np.isfinite(model.evaluate(*classes, verbose=0)[0])


def test_labels_of_a_split_stay_with_their_samples(classes):
    model = DriftModel(class_mlp(), seed=0)
    history = fitted(model, *classes, validation_split=0.2).history
    assert np.isfinite(history["val_loss"][0])


def test_batches_in_groups_need_no_wrapping(classes):
    samples, _ = classes
    grouped = samples.reshape(20, 3, 2).swapaxes(0, 1)
    model = DriftModel(class_mlp(), seed=0)
    history = fitted(model, grouped, np.arange(3), batch_size=3)
    assert np.isfinite(history.history["loss"][0])


# === Guidance ===


def test_guidance_weighs_unconditional_data(classes):
    model = DriftModel(class_mlp(), guidance=PowerLawGuidance(), seed=0)
    batches = datasets.GroupedDataset(*classes, positives=6, unconditional=4)
    x, _, _ = model.prepare_batch(batches[0], False)
    scales = numpy(x["guidance"]).reshape(3, 6)
    assert np.all(scales == scales[:, :1])
    assert np.all((scales >= 1) & (scales <= 4))
    weights = numpy(goals.unconditional_weights(model.drift, x, 3))
    # All but the sample itself repel it: 5 of 6.
    expected = (scales[:, :1] - 1) * 5 / 4
    np.testing.assert_allclose(weights, expected.repeat(4, axis=1), rtol=1e-5)


def test_guidance_of_velocities_takes_the_scales(classes):
    drift = drifts.KernelDrift(guidance="velocity")
    model = DriftModel(
        class_mlp(), drift, guidance=PowerLawGuidance(2.0), seed=0
    )
    batches = datasets.GroupedDataset(*classes, positives=6, unconditional=4)
    x, y, _ = model.prepare_batch(batches[0], False)
    samples = model(x)
    features = model.encoder(samples)
    (found,) = goals.find(model, features, x, y, None).values()
    groups = numpy(samples).reshape(3, 6, 2)
    expected = groups + numpy(
        drift(
            groups,
            y,
            unconditional=x["unconditional"],
            guidance=numpy(x["guidance"]).reshape(3, 6)[:, 0],
        )
    )
    np.testing.assert_allclose(
        numpy(found["place"]).reshape(3, 6, 2), expected, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("mode", ["distribution", "velocity"])
def test_trained_guidance_is_an_input_of_sampling(classes, mode):
    model = DriftModel(
        class_mlp(),
        drifts.KernelDrift(guidance=mode),
        guidance=PowerLawGuidance(),
        seed=0,
    )
    fitted(model, *classes, epochs=2)
    plain = model.generate(labels=[0, 1, 2], seed=0)
    strong = model.generate(labels=[0, 1, 2], guidance=3.0, seed=0)
    assert np.abs(plain - strong).max() > 0


# === Sampling ===


def test_samples_depend_on_the_seed_alone(classes):
    model = DriftModel(class_mlp(), seed=0)
    fitted(model, *classes)
    nine = model.generate(9, seed=3)
    assert nine.shape == (9, 2)
    assert nine.dtype == np.float32
    np.testing.assert_array_equal(nine, model.generate(9, seed=3))
    np.testing.assert_allclose(
        nine[:4], model.generate(4, seed=3, batch_size=2), atol=1e-6
    )
    assert np.abs(nine - model.generate(9, seed=4)).max() > 0
    assert np.abs(nine - model.generate(9)).max() > 0


def test_labels_are_one_or_many_or_all_in_turn(classes):
    model = DriftModel(class_mlp(), seed=0)
    fitted(model, *classes)
    in_turn = model.generate(4, seed=0)
    named = model.generate(labels=[0, 1, 2, 0], seed=0)
    np.testing.assert_array_equal(in_turn, named)
    assert model.generate(2, labels=1, seed=0).shape == (2, 2)
    assert model.generate(labels=1, seed=0).shape == (1, 2)


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch compiles nothing")
def test_another_number_of_samples_compiles_nothing(monkeypatch):
    model = DriftModel(generators.MLP(output_dim=2, hidden_dims=(4,)), seed=0)
    network = type(model.generator)
    traces, call = [], network.call
    monkeypatch.setattr(
        network,
        "call",
        lambda self, *args, **kwargs: (
            traces.append(args),
            call(self, *args, **kwargs),
        )[1],
    )
    for n in (200, 129, 256, 1000, 2049):
        assert len(model.generate(n, seed=0)) == n
        assert len(traces) == 1


def test_generated_samples_follow_the_weights(points):
    """Compiled once, whatever the weights are by then."""
    model = DriftModel(generators.MLP(output_dim=2, hidden_dims=(4,)), seed=0)
    before = model.generate(3, seed=0)
    for variable in model.generator.trainable_variables:
        variable.assign(variable * 0 + 0.5)
    after = model.generate(3, seed=0)
    assert np.all(after != before)
    inputs = model.generator.sample_inputs(3, seed=0)
    np.testing.assert_allclose(after, numpy(model(inputs)), rtol=1e-5)


def test_callbacks_can_draw_while_training(points):
    """In the middle of an epoch, where JAX holds the weights elsewhere."""
    drawn = []

    class Draw(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            drawn.append(self.model.generate(3, seed=0))

    weights = []
    for callbacks_ in ([Draw()], []):
        keras.utils.set_random_seed(1)
        model = DriftModel(small_mlp(), seed=0)
        before = model.generate(3, seed=0)
        model.compile(keras.optimizers.Adam(1e-2))
        model.fit(points, batch_size=16, verbose=0, callbacks=callbacks_)
        weights.append([numpy(v) for v in model.generator.variables])
    assert len(drawn) == 4
    assert all(np.any(each != before) for each in drawn)
    np.testing.assert_array_equal(drawn[-1], model.generate(3, seed=0))
    for watched, alone in zip(*weights, strict=True):
        np.testing.assert_array_equal(watched, alone)


def test_noise_alone_can_be_given_to_predict(points):
    model = DriftModel(small_mlp(), seed=0)
    assert model.predict(np.zeros((3, 8)), verbose=0).shape == (3, 2)


# === Saving ===


def test_saved_model_draws_the_same_and_trains_on_the_same(classes, tmp_path):
    def batches(epoch):
        data = datasets.GroupedDataset(*classes, positives=6, seed=0)
        data.epoch = epoch
        return data

    def annealing():
        schedule = schedules.ExponentialAnnealing(1.0, 0.1, rate=0.05)
        return [callbacks.BandwidthAnnealing(schedule)]

    def run(model, epochs, initial_epoch=0):
        model.fit(
            batches(initial_epoch),
            epochs=epochs,
            initial_epoch=initial_epoch,
            verbose=0,
            callbacks=annealing(),
        )

    keras.utils.set_random_seed(0)
    whole = DriftModel(class_mlp(), seed=0)
    # Adam blows up rounding where gradients are near zero.
    whole.compile(keras.optimizers.SGD(0.1, momentum=0.9))
    first = DriftModel.from_config(json.loads(json.dumps(whole.get_config())))
    first.set_weights(whole.get_weights())
    first.compile(keras.optimizers.SGD(0.1, momentum=0.9))
    run(whole, 2)
    run(first, 1)
    first.save(tmp_path / "model.keras")
    second = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        first.generate(3, seed=0), second.generate(3, seed=0)
    )
    run(second, 2, initial_epoch=1)
    assert int(second.optimizer.iterations) == int(whole.optimizer.iterations)
    for a, b in zip(whole.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_config_holds_all_that_was_passed():
    options = {
        "step_size": 0.5,
        "num_generated": 7,
        "frozen_steps": 2,
        "guidance": PowerLawGuidance(1.0, 3.0, 2.0, 0.5),
        "seed": 3,
    }
    model = DriftModel(
        class_mlp(),
        drifts.KernelDrift("gaussian", "dual"),
        encoders.Identity(),
        **options,
    )
    config = json.loads(json.dumps(model.get_config()))
    copy = DriftModel.from_config(config)
    again = json.loads(json.dumps(copy.get_config()))
    assert config == again
    assert copy.guidance.high == 3.0


# === Learning ===


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


# === Errors ===


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"generator": "mlp"}, TypeError, "`generator` is a"),
        ({"step_size": 0}, ValueError, "`step_size`.*step_size=0"),
        ({"num_generated": 0}, ValueError, "`num_generated`.*=0"),
        ({"num_generated": 1.5}, TypeError, "`num_generated`.*=1.5"),
        ({"frozen_steps": 0}, ValueError, "`frozen_steps`"),
        (
            {"frozen_steps": 2, "stop_gradient": False},
            ValueError,
            "need that field frozen",
        ),
        ({"guidance": 1.5}, TypeError, "PowerLawGuidance"),
        ({"guidance": PowerLawGuidance()}, ValueError, "needs `num_classes`"),
        ({"drift": "kernel_drif"}, ValueError, "Did you mean 'kernel_drift'"),
        ({"encoder": "vgg"}, TypeError, "'vgg'"),
    ],
)
def test_names_a_wrong_argument(arguments, error, message):
    with pytest.raises(error, match=message):
        DriftModel(**{"generator": small_mlp(), **arguments})


def test_has_its_own_loss():
    with pytest.raises(ValueError, match="regression onto its drifted"):
        DriftModel(small_mlp()).compile("adam", loss="mse")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((np.zeros((8, 3), "float32"),), r"shape \(1, 8, 3\).*shape \(2,\)"),
        ((np.zeros((8, 2, 2, 2), "float32"),), r"\(8, 2, 2, 2\)"),
        ((np.zeros((0, 2), "float32"),), "at least one"),
        ((np.full((8, 2), np.nan, "float32"),), "first batch holds 16"),
        (
            (np.zeros((8, 2), "float32"), np.zeros(8, "int32")),
            "no classes",
        ),
    ],
    ids=["dimension", "rank", "empty", "nan", "labels"],
)
def test_names_what_is_wrong_with_points(data, message):
    model = DriftModel(small_mlp(), seed=0)
    model.compile("adam")
    with pytest.raises(ValueError, match=message):
        model.fit(*data, verbose=0)
    with pytest.raises(ValueError, match=message):
        model.evaluate(*data, verbose=0)


def test_names_what_is_wrong_with_labels(classes):
    samples, labels = classes
    model = DriftModel(class_mlp(), seed=0)
    model.compile("adam")
    for wrong, message in (
        (labels + 1, "from 0 to 2.*labels=3"),
        (labels - 1, "from 0 to 2.*labels=-1"),
        (labels * 1.0, "whole numbers.*float64"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(samples, wrong, verbose=0)
    with pytest.raises(ValueError, match="needs the labels"):
        model.fit(samples, verbose=0)
    with pytest.raises(ValueError, match="cannot be used with samples and la"):
        model.fit(samples, labels, sample_weight=np.ones(60), verbose=0)
    with pytest.raises(ValueError, match="class_weight"):
        model.fit(samples, labels, class_weight={0: 2.0}, verbose=0)
    with pytest.raises(ValueError, match="flat batch of shape"):
        model.fit(((s, lab) for s, lab in [(samples, labels)]), verbose=0)
    grouped = samples.reshape(3, 20, 2)
    with pytest.raises(ValueError, match=r"labels `\(groups,\)`"):
        model.fit(grouped, np.zeros((3, 20), "int32"), verbose=0)


def test_names_missing_unconditional_samples(classes):
    model = DriftModel(class_mlp(), guidance=PowerLawGuidance(), seed=0)
    model.compile("adam")
    batches = datasets.GroupedDataset(*classes, positives=6)
    with pytest.raises(ValueError, match="unconditional=16"):
        model.fit(batches, verbose=0)


def test_names_what_is_wrong_with_a_request():
    model = DriftModel(class_mlp(), seed=0)
    for arguments, message in (
        ({}, "how many samples"),
        ({"n": 0}, "`n`"),
        ({"n": 2, "labels": [1]}, "n=2, 1 labels"),
        ({"labels": [3]}, "from 0 to 2"),
        ({"labels": [0], "guidance": 2.0}, "guidance scale of 1 only"),
        ({"n": 1, "batch_size": 0}, "`batch_size`"),
    ):
        with pytest.raises(ValueError, match=message):
            model.generate(**arguments)
    with pytest.raises(ValueError, match="no classes"):
        DriftModel(small_mlp()).generate(2, labels=[0, 1])


# === First tries ===


def test_lists_do_as_well_as_arrays(points, classes):
    model = DriftModel(small_mlp(), seed=0)
    assert np.isfinite(fitted(model, points.tolist()).history["loss"][0])
    samples, labels = classes
    model = DriftModel(class_mlp(), seed=0)
    history = fitted(model, samples.tolist(), labels.tolist())
    assert np.isfinite(history.history["loss"][0])
    grouped = samples.reshape(20, 3, 2).swapaxes(0, 1)
    model.fit(grouped, [0, 1, 2], batch_size=3, verbose=0)


def test_every_fit_sees_other_draws(classes):
    model = DriftModel(class_mlp(), seed=0)
    model.compile(keras.optimizers.SGD(0.0))
    seen = [model._as_source(*classes, None, None).x[0][0]]
    model.fit(*classes, verbose=0)
    seen.append(model._as_source(*classes, None, None).x[0][0])
    assert np.abs(seen[0] - seen[1]).max() > 0


def test_batches_are_always_full(points):
    sizes = []

    class Watching(DriftModel):
        def prepare_batch(self, data, training=True):
            x, y, weights = super().prepare_batch(data, training)
            sizes.append(tuple(y.shape[1:]))
            return x, y, weights

    model = Watching(small_mlp(), seed=0)
    fitted(model, points, batch_size=24)
    assert set(sizes) == {(24, 2)}


def test_schedule_that_ends_at_zero_does_not_freeze_training(points):
    model = DriftModel(small_mlp(), seed=0)
    schedule = keras.optimizers.schedules.CosineDecay(1.0, 2)
    fitted(
        model,
        points,
        epochs=3,
        callbacks=[callbacks.BandwidthAnnealing(schedule)],
    )
    assert numpy(model.drift.bandwidth) == pytest.approx(1e-6)


def test_guidance_is_not_rounded_in_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = DriftModel(class_mlp(), guidance=PowerLawGuidance(), seed=0)
        inputs = model.generator.sample_inputs(1, [0], 1.3001, seed=0)
        seen = {}
        model.generator.call = lambda x, training=None: seen.update(x) or x
        model.call(inputs)
    finally:
        keras.config.set_dtype_policy("float32")
    assert float(seen["guidance"][0]) == pytest.approx(1.3001, abs=1e-6)


def test_losses_of_the_layers_are_added(points):
    model = DriftModel(small_mlp(), seed=0)
    model.compile("adam")
    x, y, weights = prepared(model, points)
    plain = float(numpy(model.compute_loss(x, y, model(x), weights)))
    layer = model.generator.layers[1]
    layer.kernel_regularizer = keras.regularizers.L2(1.0)
    layer.kernel.regularizer = layer.kernel_regularizer
    more = float(numpy(model.compute_loss(x, y, model(x), weights)))
    penalty = float(np.sum(numpy(layer.kernel) ** 2))
    assert more - plain == pytest.approx(penalty, rel=1e-3)


def test_names_what_first_tries_get_wrong(points, classes):
    model = DriftModel(small_mlp(), seed=0)
    model.compile("adam")
    with pytest.raises(ValueError, match=r"floating-point.*uint8"):
        model.fit(points.astype("uint8"), verbose=0)
    with pytest.raises(ValueError, match="has no classes"):
        model.fit(datasets.GroupedDataset(points, unconditional=4), verbose=0)
    with pytest.raises(ValueError, match="`batch_size`"):
        model.fit(points, batch_size=0, verbose=0)
    with pytest.raises(ValueError, match="all zero in group 0"):
        model.fit(points, sample_weight=np.zeros(64), verbose=0)
    model = DriftModel(class_mlp(), seed=0)
    with pytest.raises(ValueError, match=r"also takes \['guidance', 'labels'"):
        model(np.zeros((3, 8), "float32"))
    with pytest.raises(ValueError, match="`n`"):
        model.generate(labels=[])


class FlatDrift(drifts.Drift):
    """A drift that forgets to list its bandwidths."""

    def velocities(self, x, positives, negatives, unit):
        return x


def test_names_a_drift_without_a_list_of_bandwidths(points):
    with pytest.raises(ValueError, match=r"`\[velocity\]`(.|\n)*FlatDrift"):
        FlatDrift()(points, points)
