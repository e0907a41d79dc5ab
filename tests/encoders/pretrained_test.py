import keras
import numpy as np
import pytest
from keras import layers

from contracts import copy_of
from contracts import numpy
from keras_drift import DriftModel
from keras_drift import encoders
from small_models import fitted
from small_models import small_mlp

IMAGES = np.random.default_rng(0).normal(size=(3, 6, 6, 2)).astype("float32")


def backbone(outputs):
    """A network with features of each rank, and the choice among them."""
    image = keras.Input((6, 6, 2))
    maps = layers.Conv2D(4, 3, name="maps")(image)  # (batch, 4, 4, 4)
    tokens = layers.Reshape((16, 4), name="tokens")(maps)
    vector = layers.GlobalAveragePooling1D(name="vector")(tokens)
    return keras.Model(image, outputs(vector, tokens, maps))


ONE = backbone(lambda vector, tokens, maps: maps)


def by_hand():
    """The maps of `ONE`, one place at a time."""
    kernel, bias = ONE.get_weights()
    maps = np.zeros((3, 4, 4, 4))
    for row, column in np.ndindex(4, 4):
        window = IMAGES[:, row : row + 3, column : column + 3]
        maps[:, row, column] = np.tensordot(window, kernel, 3) + bias
    return maps


def test_every_place_of_a_map_is_a_token():
    features = encoders.Pretrained(ONE)(IMAGES)
    assert list(features) == ["feature_0"]
    expected = by_hand().reshape(3, 16, 4)
    np.testing.assert_allclose(
        numpy(features["feature_0"]), expected, atol=1e-5
    )


@pytest.mark.parametrize(
    ("outputs", "names"),
    [
        (lambda *features: list(features), [f"feature_{i}" for i in range(3)]),
        (
            lambda vector, tokens, maps: {"a": vector, "b": tokens, "c": maps},
            ["a", "b", "c"],
        ),
    ],
    ids=["list", "dict"],
)
def test_several_outputs_are_several_features(outputs, names):
    model = backbone(outputs)
    model.set_weights(ONE.get_weights())
    features = encoders.Pretrained(model)(IMAGES)
    assert list(features) == names
    vector, tokens, maps = (numpy(features[name]) for name in names)
    expected = by_hand().reshape(3, 16, 4)
    np.testing.assert_allclose(tokens, expected, atol=1e-5)
    np.testing.assert_allclose(maps, expected, atol=1e-5)
    mean = expected.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(vector, mean, atol=1e-5)


def test_a_layer_will_do():
    features = encoders.Pretrained(layers.Flatten())(IMAGES)
    expected = IMAGES.reshape(3, 1, -1)
    np.testing.assert_array_equal(numpy(features["feature_0"]), expected)


def test_is_frozen():
    encoder = encoders.Pretrained(backbone(lambda vector, *_: vector))
    encoder(IMAGES)
    assert len(encoder.weights) == 2
    assert not encoder.trainable_variables
    assert not encoder.model.trainable


def test_runs_the_model_as_at_inference():
    model = keras.Sequential([keras.Input((2,))])
    model.add(layers.Dropout(0.5))
    model.add(layers.BatchNormalization(epsilon=0.0))
    encoder = encoders.Pretrained(model)
    before = encoder.get_weights()
    samples = np.array([[1.0, 2.0], [3.0, 5.0]], "float32")
    features = encoder(samples, training=True)
    # A fresh batch norm at inference changes nothing.
    np.testing.assert_allclose(numpy(features["feature_0"])[:, 0], samples)
    for weight, old in zip(encoder.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_copy_computes_the_same():
    encoder = encoders.Pretrained(ONE, name="eyes")
    copy = copy_of(encoder)
    copy.set_weights(encoder.get_weights())
    assert copy.name == "eyes"
    assert not copy.trainable_variables
    np.testing.assert_array_equal(
        numpy(copy(IMAGES)["feature_0"]), numpy(encoder(IMAGES)["feature_0"])
    )


def test_survives_a_keras_file(tmp_path):
    image = keras.Input((6, 6, 2))
    model = keras.Model(image, encoders.Pretrained(ONE)(image))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        numpy(loaded(IMAGES)["feature_0"]), numpy(model(IMAGES)["feature_0"])
    )
    assert not loaded.trainable_variables


class Subclassed(keras.Model):
    """A model without `build`, which makes its weights when first called."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(3)
        self.norm = layers.BatchNormalization()

    def call(self, x, training=None):
        hidden = self.dense(x)
        return {"hidden": hidden, "out": self.norm(hidden, training=training)}


UNBUILT = {
    "sequential": lambda: keras.Sequential([layers.Dense(3)]),
    "subclassed": Subclassed,
    "layer": lambda: layers.Dense(3),
}


@pytest.mark.parametrize("make", UNBUILT.values(), ids=UNBUILT)
def test_builds_a_model_that_nobody_has_built(make):
    points = np.ones((5, 2), "float32")
    encoder = encoders.Pretrained(make())
    encoder.build((None, 2))
    assert encoder.model.built
    assert encoder.weights
    assert not encoder.trainable_variables
    assert not any(weight.trainable for weight in encoder.weights)
    before = encoder.get_weights()
    called = encoders.Pretrained(make())  # built by its first call
    called(points)
    called.set_weights(before)
    for name, feature in encoder(points).items():
        assert feature.shape == (5, 1, 3)
        np.testing.assert_allclose(
            numpy(called(points)[name]), numpy(feature), rtol=1e-6
        )


def test_a_model_trains_with_an_encoder_that_nobody_has_built():
    model = DriftModel(small_mlp(), encoder=Subclassed(), seed=0)
    before = model.encoder.get_weights()
    history = fitted(model, np.ones((8, 2), "float32"))
    assert np.all(np.isfinite(history.history["loss"]))
    for weight, old in zip(model.encoder.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda model: model,
        lambda model: encoders.Union({"other": model}),
    ],
    ids=["alone", "in_union"],
)
def test_metrics_of_a_compiled_model_do_not_replace_the_logged_loss(wrapped):
    backbone = keras.Sequential([keras.Input((2,)), layers.Dense(3)])
    backbone.compile("adam", "mse", metrics=["mae"])
    data = IMAGES.reshape(-1, 2)[:32]
    backbone.fit(data, np.zeros((32, 3)), verbose=0)  # makes its metrics
    model = DriftModel(small_mlp(), encoder=wrapped(backbone), seed=0)
    history = fitted(model, data).history
    assert set(history) == {"loss", "drift_norm"}
    assert history["loss"][0] > 0


def test_names_samples_that_its_model_cannot_be_built_for():
    encoder = encoders.Pretrained(keras.Sequential([layers.Conv2D(2, 3)]))
    with pytest.raises(ValueError, match=r"built for samples of shape \(2,\)"):
        encoder.build((None, 2))


def test_refuses_nested_outputs():
    nested = layers.Lambda(lambda x: {"a": [x, x]})
    with pytest.raises(TypeError, match=r"flat list or dict.*a list among"):
        encoders.Pretrained(nested)(np.zeros((3, 2), "float32"))


def test_works_with_batches_of_unknown_size():
    features = encoders.Pretrained(ONE)(keras.Input((6, 6, 2)))
    assert features["feature_0"].shape == (None, 16, 4)


def test_layers_by_name_are_features():
    model = backbone(lambda vector, *_: vector)
    model.set_weights(ONE.get_weights())
    encoder = encoders.Pretrained(model, outputs=["tokens", "vector"])
    features = encoder(IMAGES)
    assert list(features) == ["tokens", "vector"]
    expected = by_hand().reshape(3, 16, 4)
    np.testing.assert_allclose(numpy(features["tokens"]), expected, atol=1e-5)
    assert len(encoder.weights) == 2
    assert encoder.map_sizes((6, 6, 2)) == {"tokens": (4, 4)}


def test_layers_of_a_sequential_model_are_features():
    model = keras.Sequential([keras.Input((6, 6, 2))])
    model.add(layers.Rescaling(2.0, name="twice"))
    model.add(layers.Flatten(name="flat"))
    features = encoders.Pretrained(model, outputs=["twice"])(IMAGES)
    expected = 2 * IMAGES.reshape(3, 36, 2)
    np.testing.assert_allclose(numpy(features["twice"]), expected)


@pytest.mark.parametrize("structure", ["dict", "list"])
def test_one_input_may_come_in_any_structure(structure):
    image = keras.Input((6, 6, 2), name="pixels")
    inputs = {"pixels": image} if structure == "dict" else [image]
    model = keras.Model(inputs, layers.Rescaling(3.0)(image))
    encoder = copy_of(encoders.Pretrained(model))
    features = encoder(IMAGES)  # a warning would be an error
    expected = 3 * IMAGES.reshape(3, 36, 2)
    np.testing.assert_allclose(numpy(features["feature_0"]), expected)


def test_refuses_a_model_of_several_inputs():
    first, second = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    model = keras.Model([first, second], first + second)
    with pytest.raises(ValueError, match=r"one input.*the inputs \['a', 'b'\]"):
        encoders.Pretrained(model)


def test_preprocesses_samples():
    encoder = encoders.Pretrained(
        ONE, preprocessing=layers.Rescaling(2.0, offset=1.0)
    )
    encoder = copy_of(encoder)
    encoder.build((None, 6, 6, 2))
    encoder.set_weights(ONE.get_weights())
    expected = numpy(ONE(2 * IMAGES + 1)).reshape(3, 16, 4)
    found = numpy(encoder(IMAGES)["feature_0"])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_preprocessing_is_frozen_and_saved(tmp_path):
    normalization = layers.Normalization()
    normalization.adapt(IMAGES)
    encoder = encoders.Pretrained(layers.Flatten(), preprocessing=normalization)
    expected = numpy(encoder(IMAGES)["feature_0"])
    assert abs(expected.mean()) < 1e-5
    encoder.save_to_preset(tmp_path / "mine")
    loaded = encoders.Pretrained.from_preset(tmp_path / "mine")
    found = numpy(loaded(IMAGES)["feature_0"])
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert not loaded.trainable_variables


def test_tokens_ahead_of_the_image_are_a_feature_of_their_own():
    model = backbone(lambda vector, tokens, maps: [vector, tokens, maps])
    plain = encoders.Pretrained(model)(IMAGES)
    encoder = copy_of(encoders.Pretrained(model, num_prefix_tokens=7))
    encoder.build((None, 6, 6, 2))
    encoder.set_weights(model.get_weights())
    features = encoder(IMAGES)
    assert sorted(features) == [
        "feature_0",
        "feature_1",
        "feature_1_prefix",
        "feature_2",
    ]
    parts = [numpy(features[f"feature_1{end}"]) for end in ("_prefix", "")]
    assert parts[0].shape == (3, 7, 4)
    np.testing.assert_allclose(
        np.concatenate(parts, axis=1), numpy(plain["feature_1"]), atol=1e-6
    )
    assert encoder.map_sizes((6, 6, 2)) == {
        "feature_1": (3, 3),
        "feature_2": (4, 4),
    }


def test_features_of_a_model_in_half_precision_are_float32():
    model = keras.Sequential(
        [keras.Input((2,)), layers.Dense(3, dtype="mixed_bfloat16")]
    )
    feature = encoders.Pretrained(model)(np.ones((2, 2)))["feature_0"]
    assert keras.backend.standardize_dtype(feature.dtype) == "float32"


def with_two_outputs():
    """A model with a layer of two outputs."""
    image = keras.Input((6, 6, 2))
    both = layers.Lambda(
        lambda x: [x, x],
        output_shape=lambda shape: [shape, shape],
        name="both",
    )
    return keras.Model(image, both(image)[0])


@pytest.mark.parametrize(
    ("outputs", "error", "message"),
    [
        (["map"], ValueError, r"Did you mean 'maps'\?.*'vector'.*Received"),
        (["both"], ValueError, "'both' has several outputs"),
        ([], TypeError, "list of names of layers"),
        ("maps", TypeError, "list of names of layers"),
        ([3], TypeError, "list of names of layers"),
    ],
)
def test_says_which_outputs_there_are(outputs, error, message):
    model = with_two_outputs()
    if outputs == ["map"]:
        model = backbone(lambda vector, *_: vector)
    with pytest.raises(error, match=message):
        encoders.Pretrained(model, outputs=outputs)


def test_only_functional_models_have_layers_to_choose():
    with pytest.raises(ValueError, match=r"functional or built sequential"):
        encoders.Pretrained(Subclassed(), outputs=["dense"])


def test_refuses_an_output_without_a_feature_axis():
    model = layers.Lambda(lambda x: x[:, 0])
    with pytest.raises(ValueError, match=r"\(batch, ..., dim\).*shape \(3,\)"):
        encoders.Pretrained(model)(np.zeros((3, 2), "float32"))


@pytest.fixture
def _channels_first():
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


@pytest.mark.usefixtures("_channels_first")
def test_refuses_channels_first():
    network = keras.Sequential(
        [keras.Input((6, 6, 6)), layers.Conv2D(4, 3, name="maps")]
    )
    with pytest.raises(ValueError, match=r"'maps' with data_format"):
        encoders.Pretrained(network)


@pytest.mark.usefixtures("_channels_first")
def test_networks_of_the_package_have_their_channels_last():
    encoder = encoders.ConvNeXtV2(
        depths=(1, 1, 1, 1), hidden_dims=(4, 8, 8, 16), image_size=32
    )
    images = np.zeros((1, 32, 32, 3), "float32")
    assert all(each.shape[0] == 1 for each in encoder(images).values())
