import keras
import numpy as np
import pytest
from keras import layers

from contracts import copy_of
from contracts import numpy
from keras_drift import encoders

IMAGES = np.random.default_rng(0).normal(size=(3, 4, 4, 2)).astype("float32")


def scaled(factor):
    return keras.Sequential([keras.Input((4, 4, 2)), layers.Rescaling(factor)])


def test_keeps_the_names_of_a_list_and_adds_the_samples():
    union = encoders.Union([encoders.Identity(), scaled(3.0)])
    features = union(IMAGES)
    assert list(features) == ["global", "samples", "feature_0"]
    flat = IMAGES.reshape(3, 1, 32)
    np.testing.assert_array_equal(numpy(features["global"]), flat)
    np.testing.assert_array_equal(numpy(features["samples"]), flat)
    expected = 3 * IMAGES.reshape(3, 16, 2)
    np.testing.assert_allclose(numpy(features["feature_0"]), expected)


def test_puts_the_keys_of_a_dict_ahead_of_the_names():
    union = encoders.Union(
        {"twice": scaled(2.0), "thrice": scaled(3.0)}, include_samples=False
    )
    features = union(IMAGES)
    assert list(features) == ["twice_feature_0", "thrice_feature_0"]
    for name, factor in (("twice", 2), ("thrice", 3)):
        found = numpy(features[f"{name}_feature_0"])
        np.testing.assert_allclose(found, factor * IMAGES.reshape(3, 16, 2))
    assert union.map_sizes((4, 4, 2)) == {
        "twice_feature_0": (4, 4),
        "thrice_feature_0": (4, 4),
    }


def test_pools_under_the_joined_names():
    union = encoders.Union({"twice": scaled(2.0)})
    pooled = encoders.Pooled(union, means=(2,), stds=(), global_std=False)
    assert list(pooled(IMAGES)) == [
        "global",
        "twice_feature_0",
        "twice_feature_0_mean",
        "twice_feature_0_mean_2",
    ]


def test_names_features_that_clash():
    union = encoders.Union([scaled(2.0), scaled(3.0)])
    with pytest.raises(ValueError, match=r"called 'feature_0'.*keys of their"):
        union(IMAGES)
    union = encoders.Union({"a": scaled(2.0), "a_feature": Zero()})
    with pytest.raises(ValueError, match=r"called 'a_feature_0'"):
        union(IMAGES)


class Zero(encoders.Encoder):
    """An encoder with a feature of an unlucky name."""

    def call(self, samples):
        return {"0": samples[:, :1, 0]}


@pytest.mark.parametrize("as_dict", [False, True], ids=["list", "dict"])
def test_copy_computes_the_same(as_dict):
    parts = [encoders.Identity(), layers.Dense(3)]
    if as_dict:
        parts = dict(zip("ab", parts, strict=True))
    union = encoders.Union(parts, include_samples=as_dict)
    features = union(IMAGES)
    copy = copy_of(union)
    copy.set_weights(union.get_weights())
    assert list(copy(IMAGES)) == list(features)
    assert not copy.trainable_variables
    assert len(copy.weights) == 2
    for name, feature in copy(IMAGES).items():
        np.testing.assert_array_equal(numpy(feature), numpy(features[name]))


def test_requires_all_of_its_encoders():
    missing = encoders.MissingEncoder("elsewhere")
    with pytest.raises(ValueError, match=r"'elsewhere', which was not loaded"):
        encoders.Union([encoders.Pooled(missing)]).require()


@pytest.mark.parametrize("wrong", [[], {}, None, encoders.Identity(), "ab"])
def test_says_what_encoders_are(wrong):
    with pytest.raises(TypeError, match=r"`encoders` is a list of encoders"):
        encoders.Union(wrong)


def test_refuses_keys_without_a_name_and_an_encoder_twice():
    with pytest.raises(TypeError, match=r"keys of `encoders`"):
        encoders.Union({"": encoders.Identity()})
    encoder = encoders.Identity()
    with pytest.raises(ValueError, match=r"One object is in `encoders` twice"):
        encoders.Union({"a": encoder, "b": encoder})


def test_refuses_a_network_in_two_encoders():
    """Files would hold its weights once, and a copy has them twice."""
    inputs = keras.Input((4, 4, 2))
    low = layers.Conv2D(3, 1, name="low")(inputs)
    model = keras.Model(inputs, layers.Conv2D(2, 1, name="high")(low))
    parts = {
        name: encoders.Pretrained(model, outputs=[name])
        for name in ("low", "high")
    }
    match = r"`encoders` share the variable '.*low/kernel'.*clone_model"
    with pytest.raises(ValueError, match=match):
        encoders.Union(parts)
    with pytest.raises(ValueError, match=match) as error:
        encoders.Union([model, encoders.Pooled(model)])
    assert "copy.set_weights(model.get_weights())" in str(error.value)
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    union = encoders.Union({"a": model, "b": copy}, include_samples=False)
    features = union(np.ones((1, 4, 4, 2), "float32"))
    one, two = map(keras.ops.convert_to_numpy, features.values())
    np.testing.assert_array_equal(one, two)
    # Weights that are made later are compared later.
    unbuilt = keras.Sequential([layers.Dense(2)])
    union = encoders.Union({"a": unbuilt, "b": encoders.Pretrained(unbuilt)})
    with pytest.raises(ValueError, match=r"`encoders` share the variable"):
        union.build((None, 4, 4, 2))


def test_loaded_parts_keep_the_name_and_type_of_the_union(tmp_path):
    encoder = encoders.MAEResNet(1, 4, (1, 1, 1, 1))
    encoder.save_to_preset(tmp_path / "mae")
    union = encoders.Union(
        {"mae": encoders.MissingEncoder(tmp_path / "mae"), "x": None},
        include_samples=False,
        name="both",
        dtype="mixed_float16",
    )
    loaded = union.loaded()
    assert loaded.name == "both"
    assert loaded.dtype_policy.name == "mixed_float16"
    assert loaded.include_samples is False
    assert loaded.prefixes == ["mae_", "x_"]
    assert type(loaded.encoders[0]) is encoders.MAEResNet
    assert loaded.loaded() is loaded
