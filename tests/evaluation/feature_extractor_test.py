import keras
import numpy as np
import pytest
from keras import layers

from keras_drift import encoders
from keras_drift.evaluation import feature_extractor

SHAPE = (6, 6, 3)
IMAGES = np.random.default_rng(0).integers(256, size=(5, *SHAPE), dtype="uint8")


def resolve(features, feature_name=None):
    return feature_extractor.resolve(features, feature_name, None, SHAPE)


def floats(images=IMAGES):
    return images.astype("float32") / 127.5 - 1


def test_a_function_gets_bytes():
    def function(images):
        assert images.dtype == "uint8"
        return images.reshape(len(images), -1)

    extractor = resolve(function)
    features, logits = extractor(IMAGES, batch_size=2)
    np.testing.assert_array_equal(features, IMAGES.reshape(5, -1))
    assert logits is None
    assert extractor.dim == 108
    assert extractor.num_classes is None


def test_a_function_may_return_logits():
    extractor = resolve(lambda x: (x[:, 0, 0] / 255.0, x[:, :4, 0, 0]))
    features, logits = extractor(IMAGES, batch_size=3)
    np.testing.assert_allclose(features, IMAGES[:, 0, 0] / 255.0, rtol=1e-6)
    np.testing.assert_array_equal(logits, IMAGES[:, :4, 0, 0])
    assert (extractor.dim, extractor.num_classes) == (3, 4)


def test_a_network_gets_images_between_minus_one_and_one():
    extractor = resolve(keras.Sequential([layers.Flatten()]))
    features, _ = extractor(IMAGES, batch_size=2)
    np.testing.assert_allclose(features, floats().reshape(5, -1), atol=1e-6)


def test_the_positions_of_a_map_are_averaged():
    images = keras.Input(SHAPE)
    network = keras.Model(images, layers.Rescaling(2.0)(images))
    features, _ = resolve(network)(IMAGES, batch_size=5)
    expected = 2 * floats().mean(axis=(1, 2))
    np.testing.assert_allclose(features, expected, atol=1e-5)


def test_a_pair_of_outputs_is_features_and_logits():
    images = keras.Input(SHAPE)
    flat = layers.Flatten()(images)
    extractor = resolve(keras.Model(images, [flat, flat[:, :7]]))
    _, logits = extractor(IMAGES, batch_size=5)
    assert extractor.dim == 108
    np.testing.assert_allclose(
        logits, floats().reshape(5, -1)[:, :7], atol=1e-6
    )


def test_an_encoder_and_its_preset_are_one(tmp_path):
    encoder = encoders.Pooled(encoders.Identity())
    encoder.build((None, *SHAPE))
    encoder.save_to_preset(tmp_path / "encoder")
    names = list(encoder(floats()))
    assert len(names) > 1
    for name in (names[0], None):
        found = [
            resolve(each, name)(IMAGES, batch_size=5)[0]
            for each in (encoder, str(tmp_path / "encoder"))
        ]
        expected = encoder(floats())[name or names[-1]]
        expected = np.mean(keras.ops.convert_to_numpy(expected), axis=1)
        np.testing.assert_allclose(found[0], expected, atol=1e-5)
        np.testing.assert_allclose(found[1], expected, atol=1e-5)


def test_the_fingerprint_tells_networks_and_outputs_apart(network_file):
    by_file = [resolve(network_file), resolve(network_file, "logits")]
    functions = [
        resolve(lambda x: x[:, 0, 0] / 255.0),
        resolve(lambda x: x[:, 0, 1] / 255.0),
    ]
    again = [resolve(network_file), resolve(lambda x: x[:, 0, 0] / 255.0)]
    found = [each.fingerprint for each in (*by_file, *functions)]
    assert len(set(found)) == 4
    assert [each.fingerprint for each in again] == [found[0], found[2]]


def test_a_single_output_by_name_has_no_logits(network_file):
    extractor = resolve(network_file, "features")
    assert (extractor.dim, extractor.num_classes) == (8, 5)
    assert resolve(network_file, "logits").dim == 5


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x, r"one row for each image.*\(4, 6, 6, 3\)"),
        (lambda x: x.reshape(len(x), -1)[:2], r"\(2, 108\) for 4 images"),
        (lambda x: (x[:, 0, 0],) * 3, "3 outputs"),
        (lambda x: x[:, 0, 0] * np.nan, "finite"),
    ],
)
def test_outputs_of_another_form_are_refused(function, message):
    with pytest.raises(ValueError, match=message):
        resolve(function)


def test_a_network_of_another_size_is_refused():
    images = keras.Input((8, 8, 3))
    network = keras.Model(images, layers.Flatten()(images))
    with pytest.raises(ValueError, match=r"Resizing.*\(8, 8, 3\).*\(6, 6, 3\)"):
        resolve(network)


def test_an_unknown_name_of_a_feature_is_refused(network_file):
    with pytest.raises(ValueError, match="Did you mean 'features'"):
        resolve(network_file, "feature")
    with pytest.raises(ValueError, match="have no names"):
        resolve(keras.Sequential([layers.Flatten()]), "features")
