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


ENCODERS = {
    "identity": encoders.Identity,
    "pretrained": lambda: encoders.Pretrained(
        keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    ),
    "pooled": lambda: encoders.Pooled(None),
    "union": lambda: encoders.Union([None]),
    "mae": lambda: encoders.MAEResNet(3, 4, (1, 1, 1, 1)),
    "masked": lambda: encoders.MaskedAutoencoder(
        encoders.MAEResNet(3, 4, (1, 1, 1, 1))
    ),
    "convnext": lambda: encoders.ConvNeXtV2((1,) * 4, (4,) * 4, 32),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_bytes_are_refused(name):
    encoder = ENCODERS[name]()
    for dtype in ("uint8", "int32", "bool"):
        images = keras.KerasTensor((2, 8, 8, 3), dtype)
        with pytest.raises(ValueError, match=rf"/ 127.5 - 1`.*type {dtype}"):
            encoder(images)
    with pytest.raises(ValueError, match="type uint8"):
        encoder(np.zeros((2, 8, 8, 3), "uint8"))


class Outer(keras.layers.Layer):
    """A layer that calls an encoder while it is trained."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def call(self, samples, training=None):
        return self.encoder(samples)


DROPOUTS = {
    "pretrained": lambda: keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Dropout(0.5)]
    ),
    "preprocessing": lambda: encoders.Pretrained(
        keras.layers.Flatten(), preprocessing=keras.layers.Dropout(0.5)
    ),
    "outputs": lambda: encoders.Pretrained(
        keras.Sequential(
            [
                keras.Input((4, 4, 1)),
                keras.layers.Dropout(0.5),
                keras.layers.Flatten(name="flat"),
            ]
        ),
        outputs=["flat"],
    ),
    "mae": lambda: encoders.MAEResNet(
        1, 4, (1, 1, 1, 1), dropout=0.9, means=(), stds=()
    ),
}


@pytest.mark.parametrize("name", DROPOUTS)
def test_a_frozen_encoder_drops_nothing(name):
    encoder = encoders.Union({"a": DROPOUTS[name]()})
    samples = np.random.default_rng(0).normal(size=(2, 4, 4, 1))
    samples = samples.astype("float32")
    expected = encoder(samples)
    features = Outer(encoder)(samples, training=True)
    for key, value in features.items():
        np.testing.assert_allclose(
            numpy(value), numpy(expected[key]), atol=1e-5
        )
