"""ConvNeXt V2, beside the numbers of the official release."""

import keras
import numpy as np
import pytest

import golden
from contracts import copy_of
from contracts import in_one_program
from contracts import numpy
from keras_drift import DriftModel
from keras_drift import encoders
from keras_drift import generators
from keras_drift.encoders.convnext_block import ConvNeXtBlock
from keras_drift.encoders.convnext_block import ResponseNormalization
from small_models import fitted

SIZES = {"depths": (1, 1, 1, 1), "hidden_dims": (4, 6, 8, 10)}
IMAGES = np.random.default_rng(0).uniform(-1, 1, (2, 20, 24, 3))
IMAGES = IMAGES.astype("float32")


def randomized(layer):
    """Gives a layer random weights: fresh norms and residuals do nothing."""
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        value = rng.normal(scale=0.3, size=weight.shape)
        weight.assign(numpy(weight) + value.astype("float32"))
    return layer


@pytest.fixture(scope="module")
def small():
    encoder = encoders.ConvNeXtV2(**SIZES, image_size=32)
    encoder.build((None, 20, 24, 3))
    return randomized(encoder)


@pytest.fixture(scope="module")
def features(small):
    encoded = in_one_program(small)(IMAGES)
    return {name: numpy(feature) for name, feature in encoded.items()}


@pytest.mark.parametrize("case", ["small", "odd"])
def test_computes_what_the_release_computes(case):
    pytest.importorskip("safetensors")
    folder = golden.find(f"convnext/{case}")
    encoder = encoders.ConvNeXtV2.from_preset(folder)
    with np.load(folder / "io.npz") as released:
        features = in_one_program(encoder)(released["x"])
        # The release misspells the names of the stages.
        names = {
            key: key.replace("venxt", "vnext") for key in released["act_keys"]
        }
        assert set(features) == set(names.values())
        for key, name in names.items():
            np.testing.assert_allclose(
                numpy(features[name]),
                released[f"act/{key}"],
                atol=1e-4,
                rtol=1e-4,
            )
        pooled = numpy(features["global_mean"])[:, 0]
        np.testing.assert_allclose(
            pooled, released["pooled"], atol=1e-4, rtol=1e-4
        )


def test_features_are_positions_means_and_standard_deviations(small, features):
    shapes = {name: feature.shape for name, feature in features.items()}
    assert shapes == {
        "convnext_stage_0_mean": (2, 1, 4),
        "convnext_stage_0_std": (2, 1, 4),
        "convnext_stage_1": (2, 16, 6),
        "convnext_stage_1_mean": (2, 1, 6),
        "convnext_stage_1_std": (2, 1, 6),
        "convnext_stage_2": (2, 4, 8),
        "convnext_stage_2_mean": (2, 1, 8),
        "convnext_stage_2_std": (2, 1, 8),
        "convnext_stage_3": (2, 1, 10),
        "convnext_stage_3_mean": (2, 1, 10),
        "convnext_stage_3_std": (2, 1, 10),
        "global_mean": (2, 1, 10),
        "global_std": (2, 1, 10),
    }
    for name, (height, width) in small.map_sizes((20, 24, 3)).items():
        assert shapes[name][1] == height * width
    for stage in (1, 2, 3):
        maps = features[f"convnext_stage_{stage}"].astype("float64")
        np.testing.assert_allclose(maps.mean(axis=-1), 0, atol=1e-5)
        mean = features[f"convnext_stage_{stage}_mean"][:, 0]
        np.testing.assert_allclose(mean, maps.mean(axis=1), atol=1e-5)


def test_block_is_that_of_the_paper():
    block = ConvNeXtBlock(3)
    maps = np.random.default_rng(2).normal(size=(2, 4, 5, 3)).astype("float32")
    block.build(maps.shape)
    found = numpy(in_one_program(randomized(block))(maps))
    np.testing.assert_allclose(found, block_by_hand(block, maps), atol=1e-4)


def block_by_hand(block, maps):
    """The block in float64, a position and a channel at a time."""
    from scipy.special import erf

    kernel, bias, gamma, beta, *dense = (
        weight.astype("float64") for weight in block.get_weights()
    )
    expand, expand_bias, response_gamma, response_beta, project, last = dense
    padded = np.pad(maps.astype("float64"), [(0, 0), (3, 3), (3, 3), (0, 0)])
    hidden = np.zeros(maps.shape)
    for row, column in np.ndindex(4, 5):
        window = padded[:, row : row + 7, column : column + 7]
        hidden[:, row, column] = (window * kernel[..., 0]).sum((1, 2)) + bias
    hidden -= hidden.mean(-1, keepdims=True)
    hidden /= np.sqrt((hidden**2).mean(-1, keepdims=True) + 1e-6)
    hidden = (hidden * gamma + beta) @ expand + expand_bias
    hidden *= (1 + erf(hidden / np.sqrt(2))) / 2
    norms = np.sqrt((hidden**2).sum((1, 2), keepdims=True) + 1e-6)
    relative = norms / (norms.mean(-1, keepdims=True) + 1e-6)
    hidden = response_gamma * hidden * relative + response_beta + hidden
    return maps + hidden @ project + last


def test_a_fresh_response_normalization_changes_nothing():
    maps = np.random.default_rng(3).normal(size=(2, 3, 3, 4)).astype("float32")
    found = ResponseNormalization()(maps)
    np.testing.assert_allclose(numpy(found), maps, atol=1e-6)


def test_copy_has_the_same_weights_by_name(small):
    copy = copy_of(small)
    assert copy.get_config() == small.get_config()
    assert not copy.trainable_variables
    for weight, other in zip(small.weights, copy.weights, strict=True):
        assert weight.shape == other.shape
        assert weight.path == other.path


def test_survives_a_preset(small, features, tmp_path):
    small.save_to_preset(tmp_path / "mine", {"description": "random"})
    loaded = encoders.ConvNeXtV2.from_preset(tmp_path / "mine")
    for weight, other in zip(small.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(numpy(weight), numpy(other))
    fresh = encoders.ConvNeXtV2.from_preset(
        tmp_path / "mine", load_weights=False
    )
    assert fresh.depths == list(SIZES["depths"])


def test_a_model_trains_in_its_features_and_keeps_its_weights(small):
    generator = generators.DiT((8, 8, 3), hidden_dim=8, depth=1, num_heads=1)
    encoder = copy_of(small)  # built by its config
    encoder.set_weights(small.get_weights())
    union = encoders.Union({"convnext": encoder})
    model = DriftModel(generator, encoder=union, seed=0)
    assert len(model.trainable_variables) == len(generator.trainable_variables)
    history = fitted(model, IMAGES[:, :8, :8], batch_size=2).history
    assert history["loss"][0] > 0
    assert len(model.encoder.weights) == len(small.weights)
    for weight, old in zip(
        model.encoder.get_weights(), small.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(weight, old)


def test_half_precision_policies_do_not_reach_it(small, features):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        encoder = encoders.ConvNeXtV2(**SIZES, image_size=32)
        encoder.build((None, 20, 24, 3))
    finally:
        keras.config.set_dtype_policy(before)
    encoder.set_weights(small.get_weights())
    layers = encoder._flatten_layers(include_self=True)
    assert {layer.compute_dtype for layer in layers} == {"float32"}
    found = in_one_program(encoder)(IMAGES)["convnext_stage_3"]
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    np.testing.assert_allclose(
        numpy(found), features["convnext_stage_3"], atol=1e-5
    )


@pytest.mark.parametrize("shape", [(32, 32, 1), (32, 32), (None, 32, 3)])
def test_names_samples_that_are_no_images(shape):
    with pytest.raises(ValueError, match=r"encodes images `\(height, width, 3"):
        encoders.ConvNeXtV2(**SIZES).build((None, *shape))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"depths": (1, 1, 1)}, "`depths` are four integers"),
        ({"hidden_dims": 8}, "`hidden_dims` are four integers"),
        ({"hidden_dims": (1, 2, 3, 0)}, "hidden_dims=0"),
        ({"image_size": 100}, "multiple of that. Received: image_size=100"),
    ],
)
def test_names_wrong_sizes(wrong, message):
    with pytest.raises(ValueError, match=message):
        encoders.ConvNeXtV2(**{**SIZES, **wrong})
