import keras
import numpy as np
import pytest

from contracts import copy_of
from contracts import numpy
from keras_drift import encoders


@pytest.mark.parametrize("shape", [(3, 2), (3, 4, 2), (3, 4, 5, 2), (1, 1)])
def test_flattens_samples_and_keeps_their_order(shape):
    samples = np.random.default_rng(0).normal(size=shape).astype("float32")
    features = encoders.Identity()(samples)
    assert list(features) == ["samples"]
    expected = samples.reshape(shape[0], 1, -1)
    np.testing.assert_array_equal(numpy(features["samples"]), expected)


def test_half_precision_does_not_round_the_samples():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        encoder = encoders.Identity()
    finally:
        keras.config.set_dtype_policy(before)
    samples = np.full((2, 2), 1.2345678, "float32")
    features = numpy(encoder(samples)["samples"])
    np.testing.assert_array_equal(features[:, 0], samples)
    assert features.dtype == "float32"


def test_has_no_weights_and_survives_its_config():
    encoder = copy_of(encoders.Identity(name="pixels"))
    assert isinstance(encoder, encoders.Identity)
    assert encoder.name == "pixels"
    assert not encoder.trainable
    assert not encoder.weights


def test_works_with_batches_of_unknown_size():
    features = encoders.Identity()(keras.Input((4, 5, 2)))
    assert features["samples"].shape == (None, 1, 40)
