import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("of `tf.data`", allow_module_level=True)

from keras_drift import DriftModel
from keras_drift import generators

DATA = np.random.default_rng(0).normal(size=(16, 2)).astype("float32")


def test_data_of_fit_and_evaluate_are_not_autotuned(monkeypatch):
    """A thread would be joined that may sleep for as long as an epoch took."""
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    read = []

    def distributed(dataset):
        read.append(dataset)
        return dataset

    monkeypatch.setattr(
        strategy, "experimental_distribute_dataset", distributed
    )
    model = DriftModel(generators.MLP(2, hidden_dims=(4,)), seed=0)
    model.compile("sgd")
    model.fit(DATA, batch_size=8, epochs=2, validation_data=DATA, verbose=0)
    model.evaluate(DATA, batch_size=8, verbose=0)
    assert [each.options().autotune.enabled for each in read] == [False] * 3


def test_data_of_tensorflow_are_left_as_they_are():
    import tensorflow as tf

    from keras_drift import backend

    dataset = tf.data.Dataset.from_tensors(DATA)
    assert backend.without_autotuning(dataset) is dataset
