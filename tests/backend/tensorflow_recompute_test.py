import time

import keras
import numpy as np
import pytest

from keras_drift import backend

if keras.backend.backend() != "tensorflow":
    pytest.skip("other compilers see to it", allow_module_level=True)


def test_parts_are_computed_again_when_their_gradients_are_there():
    """Not at once, which would keep the activations of the first part."""
    import tensorflow as tf

    events = []

    def record(name, x, seconds=0):
        """`x`, recorded when it is computed."""

        def call(x):
            events.append(name)
            time.sleep(seconds)
            return x

        # Stateful functions would run in the order of the program.
        y = tf.numpy_function(call, [x], x.dtype, stateful=False)
        return x + tf.stop_gradient(tf.ensure_shape(y, x.shape) - x)

    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])

    @tf.function(autograph=False)
    def step(parts):
        with tf.GradientTape() as tape:
            y = backend.recomputed_parts(
                lambda part: network(record("part", part)), parts, network
            )
            loss = tf.reduce_sum(record("loss", y, seconds=0.5) ** 2)
        return tape.gradient(loss, network.trainable_variables)

    parts = np.ones((4, 5, 3), "float32")
    kernel, _ = step(tf.convert_to_tensor(parts))
    assert events == ["part"] * 4 + ["loss"] + ["part"] * 4
    x = parts.reshape(-1, 3)
    expected = 2 * x.T @ (x @ network.layers[0].kernel.numpy())
    np.testing.assert_allclose(kernel.numpy(), expected, rtol=1e-5)
