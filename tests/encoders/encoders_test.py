import keras
import numpy as np
import pytest

from contracts import numpy
from keras_drift import encoders


def test_nothing_stands_for_identity():
    assert isinstance(encoders.get(None), encoders.Identity)


def test_an_encoder_stands_for_itself():
    encoder = encoders.Identity()
    assert encoders.get(encoder) is encoder


@pytest.mark.parametrize("model", [keras.Sequential(), keras.layers.Flatten()])
def test_a_model_or_layer_is_wrapped(model):
    encoder = encoders.get(model)
    assert isinstance(encoder, encoders.Pretrained)
    assert encoder.model is model


@pytest.mark.parametrize("wrong", ["resnet", 3, keras.Sequential, {}, np.mean])
def test_says_what_an_encoder_is(wrong):
    with pytest.raises(TypeError, match=r"An encoder is.*`None`.*Received: "):
        encoders.get(wrong)
    with pytest.raises(TypeError, match=r"An encoder is.*`None`.*Received: "):
        encoders.Pretrained(wrong)


def test_subclasses_write_call_and_are_frozen():
    class Doubled(encoders.Encoder):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=(), initializer="ones")

        def call(self, samples):
            return {"doubled": 2 * self.scale * samples[:, None]}

    encoder = encoders.get(Doubled())
    features = encoder(np.ones((3, 2), "float32"))
    np.testing.assert_array_equal(numpy(features["doubled"]), 2)
    assert encoder.weights
    assert not encoder.trainable_variables
