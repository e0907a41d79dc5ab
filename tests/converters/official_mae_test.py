"""Conversion of the official encoders, without their files."""

import keras
import numpy as np
import pytest

from contracts import numpy
from keras_drift import encoders
from keras_drift.converters import official_mae

METADATA = {
    "kind": "mae",
    "model_config": {
        "base_channels": 4,
        "layers": [1, 2, 1, 1],
        "in_channels": 2,
        "input_patch_size": 2,
        "patch_size": 3,
        "dropout_prob": 0.25,
        "use_bf16": True,
        "num_classes": 5,
    },
}


@pytest.fixture(autouse=True, scope="module")
def _zeros():
    """Weights that cost no time to draw, and are not those of an artifact."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            keras.initializers.VarianceScaling,
            "__call__",
            lambda self, shape, dtype=None, **kwargs: np.zeros(shape, dtype),
        )
        yield


def artifact(model):
    """Random arrays under the official names of a model."""
    rng = np.random.default_rng(0)
    return {
        name: rng.normal(size=tuple(variable.shape)).astype("float32")
        for name, variable in official_mae.variables_of(model).items()
    }


@pytest.fixture(scope="module")
def autoencoder():
    encoder = encoders.MAEResNet(**official_mae.config_of(METADATA))
    return encoders.MaskedAutoencoder(
        encoder, **official_mae.autoencoder_config_of(METADATA)
    )


def test_configuration_is_translated(autoencoder):
    encoder = autoencoder.encoder
    assert encoder.image_channels == 2
    assert encoder.base_channels == 4
    assert encoder.num_blocks == (1, 2, 1, 1)
    assert encoder.patch_size == 2
    assert encoder.dropout == 0.25
    assert encoder.dtype_policy.name == "float32"
    assert autoencoder.num_classes == 5
    assert autoencoder.mask_patch_size == 6


def test_an_entry_left_out_has_the_official_default():
    metadata = {"kind": "mae", "model_config": {}}
    config = official_mae.config_of(metadata)
    assert config["num_blocks"] == [2, 2, 2, 2]
    assert official_mae.autoencoder_config_of(metadata)["num_classes"] == 1000


def test_every_weight_is_assigned_once(autoencoder):
    params = artifact(autoencoder)
    assert len(params) == len(autoencoder.weights)
    official_mae.assign(autoencoder, params)
    found = official_mae.variables_of(autoencoder)
    for name, array in params.items():
        np.testing.assert_array_equal(numpy(found[name]), array)


def test_encoder_ignores_decoder_and_classifier(autoencoder):
    params = artifact(autoencoder)
    encoder = encoders.MAEResNet(**official_mae.config_of(METADATA))
    official_mae.assign(encoder, params)
    found = official_mae.variables_of(encoder)
    assert all(name.startswith("encoder/") for name in found)
    for name, variable in found.items():
        np.testing.assert_array_equal(numpy(variable), params[name])


def test_artifact_is_checked_without_a_model(autoencoder):
    params = artifact(autoencoder)
    official_mae.check(METADATA, params)
    encoder = artifact(autoencoder.encoder)
    official_mae.check(METADATA, encoder)
    for name, array in encoder.items():
        wrong = params | {name: np.zeros((*array.shape, 1))}
        with pytest.raises(ValueError, match=rf"{name}' has the shape "):
            official_mae.check(METADATA, wrong)
        del wrong[name]
        with pytest.raises(ValueError, match=f"lack.*{name}"):
            official_mae.check(METADATA, wrong)


@pytest.mark.parametrize(
    "claim",
    [
        {"base_channels": 10**9},
        {"layers": [1, 10**12, 1, 1]},
        {"input_patch_size": 10**6},
    ],
)
def test_a_huge_claim_costs_nothing(autoencoder, claim):
    metadata = {"model_config": METADATA["model_config"] | claim}
    with pytest.raises(ValueError, match=r"has the shape|lack"):
        official_mae.check(metadata, artifact(autoencoder))


def test_names_the_array_that_does_not_fit(autoencoder):
    name = "encoder/stages_1/layers_0/proj_conv/kernel"
    before = [numpy(v) for v in autoencoder.weights]
    params = artifact(autoencoder) | {name: np.zeros((1, 1, 4, 9))}
    error = rf"{name}.* shape \(1, 1, 4, 8\).*\(1, 1, 4, 9\)"
    with pytest.raises(ValueError, match=error):
        official_mae.assign(autoencoder, params)
    # Nothing is assigned before all is known to fit.
    for variable, value in zip(autoencoder.weights, before, strict=True):
        np.testing.assert_array_equal(numpy(variable), value)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("encoder/gn1/offset", r"does not have.*'encoder/gn1/offset'"),
        ("encoder/stages_1/layers_2/conv1/kernel", "does not have"),
        ("head/kernel", "does not have.*'head/kernel'"),
    ],
)
def test_names_an_array_without_a_place(autoencoder, name, error):
    params = artifact(autoencoder) | {name: np.zeros(3)}
    with pytest.raises(ValueError, match=error):
        official_mae.assign(autoencoder, params)


@pytest.mark.parametrize("name", ["encoder/layer2_norm/bias", "fc/kernel"])
def test_names_an_array_that_is_missing(autoencoder, name):
    params = artifact(autoencoder)
    del params[name]
    with pytest.raises(ValueError, match=f"lack.*{name}"):
        official_mae.assign(autoencoder, params)


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        ({}, "model_config=None"),
        ({"kind": "gen", "model_config": {}}, "Received: kind='gen'"),
        ({"model_config": {"base_chanels": 4}}, "Did you mean 'base_channels'"),
        ({"model_config": {"layers": 3}}, "Received: layers=3"),
        ({"model_config": {"layers": [1, 0]}}, "Received: layers=0"),
        ({"model_config": {"in_channels": -4}}, "Received: in_channels=-4"),
    ],
)
def test_refuses_other_metadata(metadata, error):
    with pytest.raises(ValueError, match=error):
        official_mae.config_of(metadata)
