"""Data sets as `tf.data` reads them."""

import keras
import tensorflow as tf
from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter


class UntunedAdapter(PyDatasetAdapter):
    """A `PyDataset` that `tf.data` reads without a thread that tunes it.

    There is nothing to tune: one thread makes the batches ahead of the steps.
    Whoever drops an iterator waits for the end of the tuning, and on a busy
    machine it misses that end (as of TensorFlow 2.21) and sleeps on, up to a
    minute: once in some fifty epochs, training would stand still.
    """

    def get_tf_dataset(self):
        """The data set, see Keras."""
        options = tf.data.Options()
        options.autotune.enabled = False
        return super().get_tf_dataset().with_options(options)


def untuned(x):
    """A data source, read by an `UntunedAdapter` if it is a `PyDataset`."""
    return UntunedAdapter(x) if isinstance(x, keras.utils.PyDataset) else x
