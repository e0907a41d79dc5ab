import re

import keras
import numpy as np
import pytest

from contracts import copy_of
from contracts import numpy
from keras_drift import DriftModel
from keras_drift import backend
from keras_drift import encoders
from keras_drift import generators

TINY = {"image_channels": 2, "base_channels": 4, "num_blocks": (1, 2, 1, 1)}
FEW = {"means": (), "stds": (), "global_std": False, "every_k_blocks": None}
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(3, 8, 8, 2)).astype("float32")


def tiny(**options):
    return encoders.MAEResNet(**(TINY | options))


def features_of(encoder, images=IMAGES):
    """All features as NumPy arrays, from one program."""
    found = backend.jit(lambda x: encoder(x), encoder.variables)(images)
    return {name: numpy(value) for name, value in found.items()}


def names_of(encoder, shape=(3, 8, 8, 2)):
    return sorted(encoder(keras.KerasTensor(shape)))


@pytest.fixture(scope="module")
def encoder():
    return tiny()


@pytest.fixture(scope="module")
def features(encoder):
    return features_of(encoder)


def test_every_map_has_its_statistics(features):
    shapes = {name: value.shape[1:] for name, value in features.items()}
    maps = {"conv1": (8, 4), "layer1": (8, 4), "layer2": (4, 8)}
    maps |= {"layer2_blk2": (4, 8), "layer3": (2, 16), "layer4": (1, 32)}
    expected = {"norm_x": (1, 2)}
    for name, (side, channels) in maps.items():
        expected[name] = (side**2, channels)
        for kind in ("mean", "std"):
            expected[f"{name}_{kind}"] = (1, channels)
            for size in (2, 4):
                if side % size == 0:
                    tokens = (side // size) ** 2
                    expected[f"{name}_{kind}_{size}"] = (tokens, channels)
    assert shapes == expected


def test_statistics_are_those_of_the_map(features):
    for name in ("conv1", "layer2", "layer2_blk2"):
        tokens = features[name].astype("float64")
        mean = tokens.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(
            features[f"{name}_mean"], mean, rtol=1e-5, atol=1e-6
        )
        std = np.sqrt(np.mean((tokens - mean) ** 2, axis=1) + 1e-6)
        np.testing.assert_allclose(
            features[f"{name}_std"][:, 0], std, rtol=1e-5, atol=1e-6
        )
    squares = np.mean(IMAGES.astype("float64") ** 2, axis=(1, 2))
    np.testing.assert_allclose(
        features["norm_x"][:, 0], np.sqrt(squares + 1e-6), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({"means": None}, r"_mean_"),
        ({"stds": (4,)}, r"_std_2"),
        ({"global_mean": False}, r"_mean$"),
        ({"global_std": False}, r"_std$"),
        ({"every_k_blocks": None}, r"_blk"),
        ({"every_k_blocks": 3}, r"_blk"),
    ],
)
def test_options_leave_features_out(options, missing, features):
    expected = [name for name in features if not re.search(missing, name)]
    assert len(expected) < len(features)
    assert names_of(tiny(**options)) == sorted(expected)


@pytest.mark.parametrize(
    ("base_channels", "constant"), [(32, True), (36, False)]
)
def test_narrow_stages_have_constant_statistics(base_channels, constant):
    encoder = tiny(base_channels=base_channels)
    mean = features_of(encoder)["layer1_mean"]
    assert np.allclose(mean, 0, atol=1e-5) == constant


def test_is_frozen_and_stays_so(encoder):
    assert encoder.weights
    assert not encoder.trainable_variables
    assert not any(variable.trainable for variable in encoder.variables)
    encoder.build((None, 8, 8, 2))
    assert not any(variable.trainable for variable in encoder.variables)


def test_weights_fit_images_of_any_size(encoder, features):
    count = len(encoder.weights)
    larger = names_of(encoder, (1, 16, 32, 2))
    assert set(features) < set(larger)
    assert len(encoder.weights) == count
    found = encoder(keras.Input((8, 8, 2)))
    assert found["layer2"].shape == (None, 16, 8)


def test_dropout_is_for_training_only(encoder, features):
    dropped = tiny(dropout=0.5)
    dropped.set_weights(encoder.get_weights())
    for name, value in features_of(dropped).items():
        np.testing.assert_array_equal(value, features[name])


def test_half_precision_does_not_reach_the_features(encoder, features):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        other = tiny()
        other.set_weights(encoder.get_weights())
        found = features_of(other)
    finally:
        keras.config.set_dtype_policy(before)
    for name, value in found.items():
        assert value.dtype == "float32"
        np.testing.assert_array_equal(value, features[name])


def test_computes_in_half_precision_where_asked_to():
    half = tiny(dtype="mixed_bfloat16", **FEW)
    assert all(v.dtype == "float32" for v in half.weights)
    assert half.network.stages[0][0].conv1.compute_dtype == "bfloat16"
    found = half(keras.KerasTensor((3, 8, 8, 2)))
    assert {v.dtype for v in found.values()} == {"float32"}


CONFIGS = {
    "default": {},
    "few": FEW,
    "folded": {"patch_size": 2, "dropout": 0.25, "means": (2,)},
    "half": {"dtype": "mixed_bfloat16", "stds": (), "every_k_blocks": 1},
}


@pytest.mark.parametrize("options", CONFIGS.values(), ids=CONFIGS)
def test_preset_gives_the_encoder_back(options, tmp_path):
    encoder = tiny(name="eyes", **options)
    for variable in encoder.weights:
        variable.assign(RNG.normal(size=variable.shape))
    encoder.save_to_preset(tmp_path / "eyes")
    loaded = encoders.MAEResNet.from_preset(tmp_path / "eyes")
    for other in (loaded, copy_of(encoder)):
        assert other.get_config() == encoder.get_config()
    assert not loaded.trainable_variables
    for ours, theirs in zip(encoder.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(numpy(ours), numpy(theirs))
    assert names_of(loaded) == names_of(encoder)
    fresh = encoders.Encoder.from_preset(tmp_path / "eyes", load_weights=False)
    assert np.any(numpy(fresh.weights[0]) != numpy(encoder.weights[0]))


def test_drift_model_trains_in_its_features():
    encoder = tiny(**FEW)
    generator = generators.DiT((8, 8, 2), hidden_dim=8, depth=1, num_heads=2)
    # Fresh networks have a gradient of zero: gray images, norms without bias.
    for variable in (*encoder.weights, *generator.weights):
        variable.assign(0.3 * RNG.normal(size=variable.shape))
    # As `MaskedAutoencoder` leaves it.
    encoder.trainable = True
    before = [numpy(v) for v in encoder.variables]
    model = DriftModel(generator, encoder=encoder, seed=0)
    assert not encoder.trainable_variables
    assert len(model.trainable_variables) == len(generator.trainable_variables)
    model.compile(keras.optimizers.Adam(1e-3))
    start = [numpy(v) for v in generator.trainable_variables]
    logs = model.train_on_batch(
        np.concatenate([IMAGES, -IMAGES]), return_dict=True
    )
    assert np.isfinite(logs["loss"])
    after = [numpy(v) for v in generator.trainable_variables]
    assert any(np.any(a != b) for a, b in zip(start, after, strict=True))
    for variable, value in zip(encoder.variables, before, strict=True):
        np.testing.assert_array_equal(numpy(variable), value)


@pytest.mark.parametrize(
    ("shape", "error"),
    [
        ((8, 8, 3), r"takes images.*image_channels.*\(None, 8, 8, 3\)"),
        ((8, 2), r"takes images.*Received: shape \(None, 8, 2\)"),
        ((8, 7, 2), r"multiples of `patch_size`.*\(None, 8, 7, 2\)"),
        ((None, 8, 2), "height and width must be known"),
    ],
)
def test_says_which_images_it_takes(shape, error):
    encoder = tiny(patch_size=2)
    with pytest.raises(ValueError, match=error):
        encoder(keras.Input(shape))


def test_drift_model_says_so_before_anything_is_compiled():
    generator = generators.DiT((8, 8, 3), hidden_dim=8, depth=1, num_heads=2)
    with pytest.raises(ValueError, match=r"takes images.*\(None, 8, 8, 3\)"):
        DriftModel(generator, encoder=tiny())


@pytest.mark.parametrize(
    ("options", "kind", "error"),
    [
        ({"num_blocks": (1, 1, 1)}, ValueError, "four integers"),
        ({"num_blocks": 3}, ValueError, "four integers"),
        ({"num_blocks": (1, 1, 1, 0)}, ValueError, "`num_blocks`"),
        ({"image_channels": 0}, ValueError, "Received: image_channels=0"),
        ({"base_channels": 4.5}, TypeError, "Received: base_channels=4.5"),
        ({"patch_size": -1}, ValueError, "Received: patch_size=-1"),
        ({"dropout": 1.0}, ValueError, "below 1. Received: dropout=1.0"),
        ({"means": 2}, TypeError, r"such as \(2, 4\).*Received: means=2"),
        ({"stds": (0,)}, ValueError, "Received: stds=0"),
        ({"every_k_blocks": 0}, ValueError, "Received: every_k_blocks=0"),
    ],
)
def test_refuses_what_is_no_network(options, kind, error):
    with pytest.raises(kind, match=error):
        tiny(**options)
