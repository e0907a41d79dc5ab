import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow's own", allow_module_level=True)

import tensorflow as tf

from keras_drift.backend.tensorflow import exact_matmul


def in_tf32(x):
    """What a GPU keeps of a float32 factor: 10 bits, rounded."""
    bits = (x.view("uint32") + np.uint32(2**12)) & np.uint32(0xFFFFE000)
    return bits.view("float32")


def test_products_of_a_gpu_are_exact(monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 64)).astype("float32")
    y = rng.normal(size=(64, 7)).astype("float32")
    plain = tf.matmul

    def on_a_gpu(a, b):
        return plain(in_tf32(np.array(a)), in_tf32(np.array(b)))

    monkeypatch.setattr(tf, "matmul", on_a_gpu)
    expected = x.astype("float64") @ y.astype("float64")
    rough = np.abs(on_a_gpu(x, y) - expected).max()
    found = exact_matmul(tf.constant(x), tf.constant(y))
    assert rough > 1e-3
    assert np.abs(found - expected).max() < 1e-2 * rough
