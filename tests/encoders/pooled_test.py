import keras
import numpy as np
import pytest
from keras import layers

from contracts import copy_of
from contracts import in_one_program
from contracts import numpy
from keras_drift import encoders

IMAGES = np.random.default_rng(0).normal(size=(2, 8, 4, 1)).astype("float32")


class Maps(encoders.Encoder):
    """Maps that are known by hand, and features that are none."""

    def call(self, samples):
        flat = keras.ops.reshape(samples, (-1, 32, 1))
        return {
            "maps": keras.ops.concatenate([flat, 2 * flat], axis=-1),
            "maps_std": 0 * flat[:, :1],
            "vector": flat[:, :1],
        }

    def map_sizes(self, sample_shape):
        return {"maps": tuple(sample_shape[:2])}


def pixels(side_of_window):
    """The pixels of the windows, in row-major order: `(2, windows, n)`."""
    side = side_of_window
    return np.stack(
        [
            IMAGES[:, row : row + side, column : column + side].reshape(2, -1)
            for row in range(0, 8, side)
            for column in range(0, 4, side)
        ],
        axis=1,
    ).astype("float64")


def test_adds_the_statistics_of_maps():
    features = encoders.Pooled(Maps())(IMAGES)
    assert sorted(features) == [
        "maps",
        "maps_mean",
        "maps_mean_2",
        "maps_mean_4",
        "maps_std",
        "maps_std_2",
        "maps_std_4",
        "vector",
    ]
    for side in (2, 4):
        mean = pixels(side).mean(axis=-1)
        std = np.sqrt(pixels(side).var(axis=-1) + 1e-6)
        found = numpy(features[f"maps_mean_{side}"])
        np.testing.assert_allclose(found[..., 0], mean, atol=1e-6)
        np.testing.assert_allclose(found[..., 1], 2 * mean, atol=1e-6)
        found = numpy(features[f"maps_std_{side}"])[..., 0]
        np.testing.assert_allclose(found, std, rtol=1e-5)
    found = numpy(features["maps_mean"])[..., 0]
    np.testing.assert_allclose(found, IMAGES.mean(axis=(1, 2)), atol=1e-6)


def test_keeps_what_the_encoder_has():
    features = encoders.Pooled(Maps())(IMAGES)
    plain = Maps()(IMAGES)
    for name, feature in plain.items():
        np.testing.assert_array_equal(numpy(features[name]), numpy(feature))


def test_leaves_out_what_is_not_wanted_or_does_not_fit():
    pooled = encoders.Pooled(
        Maps(), means=(3, 4), stds=[], global_mean=False, global_std=False
    )
    names = set(pooled(IMAGES)) - set(Maps()(IMAGES))
    assert names == {"maps_mean_4"}


def test_pools_the_maps_and_square_tokens_of_any_model():
    image = keras.Input((6, 4, 3))
    maps = layers.Conv2D(5, 1, name="maps")(image)
    tokens = layers.Dense(4)(layers.Reshape((24, 5))(maps)[:, :9])
    model = keras.Model(image, {"maps": maps, "tokens": tokens})
    pooled = encoders.Pooled(model, means=(2, 3), stds=())
    assert pooled.map_sizes((6, 4, 3)) == {"maps": (6, 4), "tokens": (3, 3)}
    features = pooled(np.zeros((2, 6, 4, 3), "float32"))
    assert features["maps_mean_2"].shape == (2, 6, 5)
    assert features["tokens_mean_3"].shape == (2, 1, 4)
    assert "maps_mean_3" not in features
    assert "tokens_mean_2" not in features


def test_pools_the_maps_of_a_masked_autoencoder_as_it_does_itself():
    sizes = {"image_channels": 1, "base_channels": 4, "num_blocks": (1,) * 4}
    whole = encoders.MAEResNet(**sizes)
    maps_only = encoders.MAEResNet(
        **sizes, means=(), stds=(), global_mean=False, global_std=False
    )
    maps_only.set_weights(whole.get_weights())
    pooled = encoders.Pooled(maps_only)
    images = np.concatenate([IMAGES, IMAGES], axis=2)
    pooled.build(images.shape)
    both = in_one_program(lambda images: (whole(images), pooled(images)))
    expected, found = both(images)
    assert set(found) == set(expected)
    # The encoder that pools itself is not pooled again.
    assert whole.map_sizes((8, 8, 1)) == pooled.map_sizes((8, 8, 1))
    for name, feature in expected.items():
        np.testing.assert_allclose(
            numpy(found[name]), numpy(feature), rtol=1e-5, atol=1e-5
        )


def test_copy_computes_the_same():
    backbone = keras.Sequential([keras.Input((8, 4, 1)), layers.Conv2D(2, 1)])
    pooled = encoders.Pooled(backbone, means=(4,), global_std=False)
    pooled.build((None, 8, 4, 1))
    copy = copy_of(pooled)
    copy.set_weights(pooled.get_weights())
    assert not copy.trainable_variables
    features = pooled(IMAGES)
    assert list(copy(IMAGES)) == list(features)
    assert "feature_0_mean_4" in features
    for name, feature in copy(IMAGES).items():
        np.testing.assert_array_equal(numpy(feature), numpy(features[name]))


def test_names_an_encoder_without_maps():
    with pytest.raises(ValueError, match=r"None of the features.*a map"):
        encoders.Pooled(encoders.Identity()).build((None, 8))


def test_pools_images_themselves():
    images = np.concatenate([IMAGES, 3 * IMAGES], axis=-1)
    pooled = encoders.Pooled(encoders.Identity())
    features = {k: numpy(v) for k, v in pooled(images).items()}
    np.testing.assert_array_equal(features["samples"], images.reshape(2, 1, 64))
    mean = images.mean(axis=(1, 2))[:, None]
    np.testing.assert_allclose(features["samples_mean"], mean, atol=1e-6)
    windows = pixels(4).mean(axis=-1)[..., None] * [1, 3]
    np.testing.assert_allclose(features["samples_mean_4"], windows, atol=1e-6)
    assert features["samples_std_2"].shape == (2, 8, 2)


@pytest.mark.parametrize("wrong", [2, "2", {2}])
def test_says_what_sides_are(wrong):
    with pytest.raises(TypeError, match=r"`means` is a sequence of sides"):
        encoders.Pooled(Maps(), means=wrong)
    with pytest.raises((TypeError, ValueError), match=r"integer.*0.5"):
        encoders.Pooled(Maps(), stds=(2, 0.5))


def test_maps_are_those_of_the_samples_at_hand():
    inputs = keras.Input((None, None, 1))
    outputs = layers.Conv2D(2, 3, padding="same")(inputs)
    pooled = encoders.Pooled(keras.Model(inputs, outputs), (2,), ())
    for height, width in ((8, 8), (16, 16), (8, 4), (4, 8), (8, 8)):
        images = np.random.default_rng(0).normal(size=(3, height, width, 1))
        maps = numpy(pooled(images)["feature_0"])
        maps = maps.reshape(3, height // 2, 2, width // 2, 2, 2)
        found = numpy(pooled(images)["feature_0_mean_2"])
        expected = maps.mean(axis=(2, 4)).reshape(3, -1, 2)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_two_models_with_maps_of_other_sides_share_it():
    inputs = keras.Input((None, None, 1))
    backbone = keras.Model(inputs, layers.Conv2D(2, 1)(inputs))
    pooled = encoders.Pooled(backbone, (2,), ())
    encoders.build(pooled, (8, 4, 1))
    before = numpy(pooled(IMAGES)["feature_0_mean_2"])
    encoders.build(pooled, (4, 8, 1))
    after = numpy(pooled(IMAGES)["feature_0_mean_2"])
    np.testing.assert_array_equal(after, before)


def test_an_encoder_without_maps_is_refused_whenever_it_is_called():
    pooled = encoders.Pooled(encoders.Identity())
    for _ in range(2):
        with pytest.raises(ValueError, match="is a map"):
            pooled(IMAGES[:, :, 0, 0])
