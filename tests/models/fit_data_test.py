import numpy as np
import pytest

from keras_drift import DriftModel
from keras_drift import datasets
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
