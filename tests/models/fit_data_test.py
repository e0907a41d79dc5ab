import keras
import numpy as np
import pytest

from keras_drift import DriftModel
from keras_drift import callbacks
from keras_drift import datasets
from keras_drift import generators
from keras_drift import metrics
from keras_drift.training import data_sources
from small_models import class_mlp
from small_models import fitted
from small_models import small_mlp


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


@pytest.fixture(scope="module")
def compiled():
    model = DriftModel(small_mlp(), seed=0)
    model.compile("adam")
    return model


@pytest.mark.parametrize(
    "source", [generator_source, tf_source, torch_source, py_source]
)
def test_accepts_every_data_source_of_keras(points, source, compiled):
    model = compiled
    # Keras warns if a generator ends without `steps_per_epoch`.
    steps = 2 if source is generator_source else None
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


def test_data_source_is_iterated_once(points):
    started = []

    class Counting:
        """Re-iterable, like loaders with workers and shuffle buffers."""

        def __iter__(self):
            started.append(True)
            yield from ((points[:32],), (points[32:],))

    source = data_sources.as_source(Counting(), None, None, small_mlp())
    assert source.ranks is None
    assert not started
    tf = pytest.importorskip("tensorflow")

    def count(batch):
        started.append(True)
        return batch

    dataset = tf.data.Dataset.from_tensor_slices(points).batch(32)
    dataset = dataset.map(lambda x: tf.py_function(count, [x], tf.float32))
    dataset = dataset.map(lambda x: tf.ensure_shape(x, (None, 2)))
    source = data_sources.as_source(dataset, None, None, small_mlp())
    assert source.ranks == (2,)
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
def test_works_with_floatx_float64(points):
    keras.config.set_floatx("float64")
    try:
        model = DriftModel(small_mlp(), seed=0)
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
    assert np.all(np.isfinite(list(history.values())))


def test_csv_log_has_the_columns_of_a_monitor(points, tmp_path):
    model = DriftModel(small_mlp(), seed=0)
    fitted(
        model,
        points,
        epochs=2,
        callbacks=[
            callbacks.DriftMonitor(points, every=2),
            keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        ],
    )
    header, first, second = (tmp_path / "log.csv").read_text().splitlines()
    column = header.split(",").index("monitor_distance")
    assert first.split(",")[column] == "nan"
    assert float(second.split(",")[column]) > 0


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
