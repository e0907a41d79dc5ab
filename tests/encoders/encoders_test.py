import keras
import numpy as np
import pytest

from contracts import numpy
from keras_drift import DriftModel
from keras_drift import encoders
from small_models import small_mlp


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

    model = DriftModel(small_mlp(), encoder=Doubled(), seed=0)
    assert model.encoder.weights
    names = {weight.path for weight in model.encoder.weights}
    assert not names & {weight.path for weight in model.trainable_variables}
    encoder = encoders.get(Doubled())
    features = encoder(np.ones((3, 2), "float32"))
    np.testing.assert_array_equal(numpy(features["doubled"]), 2)
    assert encoder.weights
    assert not encoder.trainable_variables


def test_layers_made_late_are_frozen_too():
    backbone = keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(2)])
    union = encoders.Union({"late": encoders.Pretrained(backbone)})
    model = DriftModel(small_mlp(), encoder=union, seed=0)
    assert len(backbone.weights) == 4
    generator = model.generator.trainable_variables
    assert len(model.trainable_variables) == len(generator)
