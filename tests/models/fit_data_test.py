import keras
import numpy as np
import pytest

from keras_drift import DriftModel
from keras_drift import callbacks
from keras_drift import datasets
from keras_drift import drifts
from keras_drift import generators
from keras_drift import metrics
from keras_drift.training import data_sources
from small_models import class_mlp
from small_models import fitted
from small_models import small_mlp

BACKEND = keras.backend.backend()


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


def filtered_source(points):
    """Of a length that `tf.data` does not know."""
    return tf_source(points).filter(lambda x: True)


def iterable_source(points):
    """Of a length that PyTorch does not know."""
    data = pytest.importorskip("torch.utils.data")

    class Points(data.IterableDataset):
        def __iter__(self):
            return ((point,) for point in points)

    return data.DataLoader(Points(), batch_size=24)


def py_source(points):
    return datasets.GroupedDataset(points, positives=32)


@pytest.fixture(scope="module")
def compiled():
    model = DriftModel(small_mlp(), seed=0)
    model.compile("adam")
    return model


@pytest.mark.parametrize(
    "source",
    [
        generator_source,
        tf_source,
        torch_source,
        py_source,
        filtered_source,
        iterable_source,
    ],
)
def test_accepts_every_data_source_of_keras(points, source, compiled):
    model = compiled
    # Keras warns if data of unknown length end without `steps_per_epoch`.
    is_unknown = source in (generator_source, filtered_source, iterable_source)
    steps = 2 if is_unknown else None
    history = model.fit(source(points), steps_per_epoch=steps, verbose=0)
    assert np.isfinite(history.history["loss"][0])


def test_samples_and_labels_are_grouped_by_class(classes):
    model = DriftModel(class_mlp(), seed=0)
    history = fitted(model, *classes, validation_data=classes, epochs=2).history
    assert np.all(np.isfinite(history["val_loss"]))
    assert np.isfinite(model.evaluate(*classes, verbose=0)[0])


def test_validation_split_keeps_labels_with_samples(classes):
    model = DriftModel(class_mlp(), seed=0)
    history = fitted(model, *classes, validation_split=0.2).history
    assert np.isfinite(history["val_loss"][0])


def test_accepts_grouped_batches(classes):
    samples, _ = classes
    grouped = samples.reshape(20, 3, 2).swapaxes(0, 1)
    model = DriftModel(class_mlp(), seed=0)
    history = fitted(model, grouped, np.arange(3), batch_size=3)
    assert np.isfinite(history.history["loss"][0])


class Recording(DriftModel):
    """Records the shapes of the positives that its steps are compiled for."""

    def prepare_batch(self, data, training=True):
        x, *_ = keras.utils.unpack_x_y_sample_weight(data)
        x = x["positives"] if isinstance(x, dict) else x
        kind = "train" if training else "test"
        self.seen = [*getattr(self, "seen", []), (kind, tuple(x.shape))]
        return super().prepare_batch(data, training)


def test_steps_know_the_sizes_of_batches(points):
    """An unknown size makes one block of all pairs, whatever memory it takes.

    Keras takes the first axis for one of unknown size on TensorFlow.
    """
    model = Recording(small_mlp(), seed=0)
    fitted(model, points, batch_size=16, validation_data=points[:8])
    model.fit(points, batch_size=24, steps_per_epoch=3, verbose=0)
    grouped = points.reshape(4, 16, 2)
    model.fit(grouped, batch_size=2, verbose=0)
    batches = datasets.GroupedDataset(points, positives=20)
    model.fit(batches, steps_per_epoch=2, verbose=0)
    model.evaluate(grouped, verbose=0)
    model.train_on_batch(points[:10])
    model.train_on_batch(points[:12])
    seen = dict.fromkeys(model.seen)  # PyTorch runs every step
    assert list(seen) == [
        ("train", (16, 2)),
        ("test", (8, 2)),
        ("train", (24, 2)),
        ("train", (2, 16, 2)),
        ("train", (1, 20, 2)),
        ("test", (4, 16, 2)),
        ("train", (10, 2)),
        ("train", (12, 2)),
    ]


def test_a_callback_may_train_on_a_batch_of_its_own(points):
    class Own(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.train_on_batch(points[: 8 + batch])

    model = Recording(small_mlp(), seed=0)
    fitted(model, points, batch_size=16, callbacks=[Own()])
    assert int(model.optimizer.iterations) == 8


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of its compiled steps")
def test_many_sizes_share_a_step(points):
    model = Recording(small_mlp(), seed=0)
    model.compile("adam")
    for size in [*range(8, 20), *range(8, 20)]:
        model.train_on_batch(points[:size])
    sizes = [shape[0] for _, shape in model.seen]
    assert sizes[:5] == [8, 9, 10, 11, 12]
    assert len(sizes) <= 6  # the sixth takes all others


def test_batches_of_other_sizes_share_a_step(points):
    """Of groups that a batch does not divide, or of a source of one's own."""
    grouped = points.reshape(4, 16, 2)
    model = Recording(small_mlp(), seed=0)
    history = fitted(model, grouped, batch_size=3, epochs=2).history
    assert np.all(np.isfinite(history["loss"]))
    shapes = {shape for _, shape in model.seen}
    of_one_step = {(None, 16, 2)}
    of_two = {(3, 16, 2), (1, 16, 2)}
    assert shapes == (of_one_step if BACKEND == "tensorflow" else of_two)

    class Shrinking(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return (points[: 16 * (3 - index)],)

    assert np.isfinite(model.fit(Shrinking(), verbose=0).history["loss"][0])


def test_data_source_is_iterated_once(points):
    started = []

    class Counting:
        """Re-iterable, like loaders with workers and shuffle buffers."""

        def __iter__(self):
            started.append(True)
            yield from ((points[:32],), (points[32:],))

    source = data_sources.as_source(Counting(), None, None, small_mlp())
    assert source.shapes is None
    assert not started
    tf = pytest.importorskip("tensorflow")

    def count(batch):
        started.append(True)
        return batch

    dataset = tf.data.Dataset.from_tensor_slices(points).batch(32)
    dataset = dataset.map(lambda x: tf.py_function(count, [x], tf.float32))
    dataset = dataset.map(lambda x: tf.ensure_shape(x, (None, 2)))
    source = data_sources.as_source(dataset, None, None, small_mlp())
    assert source.shapes == ((None, 2),)
    assert not started
    with pytest.raises(ValueError, match=r"shape \(1, None, 2\)"):
        data_sources.as_source(
            dataset, None, None, generators.MLP(3, hidden_dims=(4,))
        )


def test_validation_split_keeps_weights_with_samples(points):
    model = DriftModel(small_mlp(), seed=0)
    weights = np.ones(64, "float32")
    history = fitted(
        model, points, sample_weight=weights, validation_split=0.25
    ).history
    assert np.isfinite(history["val_loss"][0])
    with pytest.raises(ValueError, match="sample_weight of length 63"):
        model.fit(
            points, sample_weight=weights[:63], validation_split=0.25, verbose=0
        )


# JAX warns that float64 is not enabled.
@pytest.mark.filterwarnings("ignore:Explicitly requested dtype float64")
@pytest.mark.parametrize("block_size", [None, 12])
def test_works_with_floatx_float64(points, block_size):
    # Keras makes its policy of the `floatx` that it is first asked for.
    policy = keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    try:
        drift = drifts.KernelDrift(block_size=block_size)
        model = DriftModel(small_mlp(), drift, seed=0)
        weights = np.ones(64)
        history = fitted(
            model,
            points.astype("float64"),
            sample_weight=weights,
            validation_data=points,
            compile_options={"metrics": [metrics.SlicedWasserstein()]},
        ).history
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy(policy)
    assert np.all(np.isfinite(list(history.values())))


def test_csv_log_has_the_columns_of_a_monitor(points, tmp_path):
    model = DriftModel(small_mlp(), seed=0)
    fitted(
        model,
        points,
        epochs=2,
        callbacks=[
            callbacks.DriftMonitor(points, every=3),
            keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        ],
    )
    header, first, second = (tmp_path / "log.csv").read_text().splitlines()
    column = header.split(",").index("monitor_distance")
    value = first.split(",")[column]
    assert float(value) > 0
    assert second.split(",")[column] == value


MONITORS = ("val_sliced_wasserstein", "val_loss", "drift_norm")


@pytest.fixture(scope="module")
def stops(points):
    """Callbacks for each of the monitors, after one training with all."""
    model = DriftModel(small_mlp(), seed=0)
    stops = {name: keras.callbacks.EarlyStopping(name) for name in MONITORS}
    fitted(
        model,
        points,
        validation_data=points,
        compile_options={"metrics": [metrics.SlicedWasserstein()]},
        callbacks=list(stops.values()),
    )
    return stops


@pytest.mark.parametrize("monitor", MONITORS)
def test_early_stopping_knows_the_direction_of_metrics(monitor, stops):
    assert stops[monitor].monitor_op is keras.ops.less


def test_refuses_what_a_data_source_would_ignore(points, compiled):
    model = compiled
    source = datasets.GroupedDataset(points, positives=32)
    for name, value in (
        ("y", np.zeros(64, "int32")),
        ("sample_weight", np.ones(64)),
        ("batch_size", 32),
    ):
        with pytest.raises(ValueError, match=f"`{name}` goes with arrays"):
            model.fit(source, **{name: value}, verbose=0)
        with pytest.raises(ValueError, match=f"`{name}` goes with arrays"):
            model.evaluate(source, **{name: value}, verbose=0)
    # The batch size of arrays in training is not that of another source.
    model.fit(points, batch_size=32, validation_data=source, verbose=0)


def test_epochs_of_arrays_have_the_steps_asked_for(points):
    for steps in (1, 5):
        source = data_sources.as_source(
            points,
            None,
            None,
            small_mlp(),
            batch_size=32,
            num_steps=steps,
        ).x
        assert len(source) == steps
        batches = [batch for (batch,) in source]
        first, last = batches[0], batches[-1]
        assert steps == 1 or np.abs(first - last).max() > 0
    model = DriftModel(small_mlp(), seed=0)
    fitted(model, points, steps_per_epoch=3, epochs=2)
    assert int(model.optimizer.iterations) == 6


GROUPS = np.random.default_rng(0).normal(size=(3, 40, 2))


@pytest.mark.parametrize("order", ["<", ">"])
def test_either_byte_order_is_fitted(order):
    x, labels = GROUPS.astype(f"{order}f4"), np.arange(3).astype(f"{order}i8")
    flat, weights = x.reshape(-1, 2), np.ones(120, f"{order}f4")
    for generator, data in (
        (small_mlp(), (flat,)),
        (small_mlp(), (flat, None, weights)),
        (class_mlp(), (flat, np.repeat(labels, 40))),
        (class_mlp(), (x, labels)),
    ):
        model = DriftModel(generator)
        model.compile()
        x_, y, w = (*data, None, None)[:3]
        model.fit(x_, y, sample_weight=w, verbose=0)
        if not (y is not None and x_ is flat):
            model.train_on_batch(x_, y, w)
            model.test_on_batch(x_, y, w)
    near, far = (
        float(metrics.sliced_wasserstein(v, flat))
        for v in (flat.astype("float32"), flat + 9)
    )
    assert near < 1e-6 < far


def test_arrays_of_objects_say_what_to_do():
    model = DriftModel(small_mlp())
    model.compile()
    objects = GROUPS[0].astype(object)
    for call in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(ValueError, match=r"Python objects.*dtype object"):
            call(objects)
    with pytest.raises(ValueError, match=r"`sample_weight` is an array of Py"):
        model.fit(GROUPS[0], sample_weight=objects[:, 0])
    with pytest.raises(ValueError, match=r"`y` is an array of Python objects"):
        metrics.sliced_wasserstein(GROUPS[0], objects)
