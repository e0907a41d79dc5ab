import glob
import os

import keras
import numpy as np
import pytest
from PIL import Image

from keras_drift import DriftModel
from keras_drift import callbacks
from keras_drift import generators
from keras_drift import images


def image_model(num_classes=None):
    """A model of the smallest network that makes images of all classes."""
    noise = keras.Input((16,), name="noise")
    pixels = keras.layers.Dense(16, activation="tanh")(noise)
    inputs = [noise]
    if num_classes is not None:
        inputs.append(keras.Input((), dtype="int32", name="labels"))
        pixels += keras.layers.Embedding(num_classes, 16)(inputs[1])
    network = keras.Model(inputs, keras.layers.Reshape((4, 4, 1))(pixels))
    generator = generators.Functional(network, num_classes=num_classes)
    model = DriftModel(generator, seed=0)
    model.compile("adam")
    return model


IMAGES = np.zeros((32, 4, 4, 1), "float32")


def test_writes_every_few_epochs_and_at_the_end(tmp_path):
    grid = callbacks.SampleGrid(tmp_path / "new" / "grids", rows=2, every=2)
    image_model().fit(IMAGES, epochs=3, verbose=0, callbacks=[grid])
    names = sorted(os.listdir(tmp_path / "new" / "grids"))
    assert names == ["epoch_0002.png", "epoch_0003.png"]


def test_columns_are_classes(tmp_path):
    model = image_model(num_classes=3)
    grid = callbacks.SampleGrid(tmp_path, rows=2, scale=1)
    labels = np.arange(32) % 3
    model.fit(IMAGES, labels, verbose=0, callbacks=[grid])
    picture = np.asarray(Image.open(tmp_path / "epoch_0001.png"))
    assert picture.shape == (2 * 5 + 1, 3 * 5 + 1, 3)
    generated = model.generate(labels=[0, 1, 2, 0, 1, 2], seed=0)
    pixels = np.clip((generated[4, :, :, 0] + 1) * 127.5, 0, 255).round()
    np.testing.assert_allclose(picture[6:10, 6:10, 0], pixels, atol=1)


def test_appears_in_tensorboard(tmp_path):
    pytest.importorskip("tensorflow")
    board = keras.callbacks.TensorBoard(tmp_path / "logs", write_graph=False)
    grid = callbacks.SampleGrid(tmp_path / "grids", rows=2)
    image_model().fit(IMAGES, verbose=0, callbacks=[board, grid])
    (path,) = glob.glob(str(tmp_path / "logs" / "samples" / "*"))
    with open(path, "rb") as file:
        assert b"PNG" in file.read()


@pytest.mark.parametrize("name", ["rows", "columns", "every", "scale"])
def test_names_a_wrong_argument(tmp_path, name):
    with pytest.raises(ValueError, match=f"`{name}`.*=0"):
        callbacks.SampleGrid(tmp_path, **{name: 0})


def test_refuses_samples_that_are_no_images(tmp_path):
    model = DriftModel(generators.MLP(2, hidden_dims=(8,)))
    with pytest.raises(ValueError, match=r"samples of shape \(2,\)"):
        callbacks.SampleGrid(tmp_path).set_model(model)


def test_the_last_grid_shows_the_averages_that_the_model_ends_with(tmp_path):
    rng = np.random.default_rng(0)
    data = rng.normal(size=(32, 4, 4, 1)).astype("float32")
    model = image_model()
    # The last step is a large one, which the averages hardly follow.
    model.compile(keras.optimizers.SGD(5.0, use_ema=True, ema_momentum=0.9))
    grid = callbacks.SampleGrid(tmp_path, rows=2, columns=2, scale=1)
    model.fit(data, epochs=3, verbose=0, callbacks=[grid])
    picture = np.asarray(Image.open(tmp_path / "epoch_0003.png"))
    expected = images.image_grid(model.generate(4, seed=0), 2)
    np.testing.assert_allclose(picture.astype(int), expected, atol=1)
