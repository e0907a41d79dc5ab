"""Adapter of Keras that disables the autotuning of `tf.data`."""

import keras
import tensorflow as tf
from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter


class WithoutAutotuning(PyDatasetAdapter):
    """Adapter of a `PyDataset` that disables the autotuning of `tf.data`.

    Deleting an iterator joins the thread of the autotuning. On a busy machine
    that thread can miss its cancellation and sleep for as long as the iterator
    was in use, up to 60 s (TensorFlow 2.21): the cancellation notifies it
    before it sets the flag that the thread reads. Prefetching stays as it is.

    This holds for one device. Under a strategy, TensorFlow makes data sets of
    its own for each device, which take none of these options.
    """

    def get_tf_dataset(self):
        """The data set, see Keras."""
        options = tf.data.Options()
        options.autotune.enabled = False
        return super().get_tf_dataset().with_options(options)


def without_autotuning(x):
    """A data source, see `keras_drift.backend`."""
    return WithoutAutotuning(x) if isinstance(x, keras.utils.PyDataset) else x
