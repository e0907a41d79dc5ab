"""Artifacts in the official format become presets that compute the same."""

import numpy as np
import pytest

import contracts
import golden as golden_data
from keras_drift import DriftModel
from keras_drift import encoders
from keras_drift.converters import official

pytest.importorskip("msgpack")


def convert(case, tmp_path):
    """Converts an artifact to a preset; returns it, and what to expect."""
    official.convert(golden_data.artifact(case, tmp_path), tmp_path / "preset")
    golden = np.load(golden_data.find(f"{case}/io.npz"))
    return tmp_path / "preset", golden


@pytest.mark.parametrize(
    "case", ["latent", "layernorm_mixed", "pixel", "plain"]
)
def test_samples_are_those_of_the_release(case, tmp_path):
    preset, golden = convert(f"generator/{case}", tmp_path)
    model = DriftModel.from_preset(preset)
    inputs = {
        "noise": golden["x"],
        "labels": golden["c"],
        "guidance": golden["cfg_scale"],
        "styles": golden["noise_labels"],
    }
    samples = model.predict_on_batch(
        {key: inputs[key] for key in model.generator.input_keys}
    )
    assert_close(samples, golden["samples"])


@pytest.mark.parametrize("case", ["encoder_only_b16", "latent", "pixel"])
def test_features_are_those_of_the_release(case, tmp_path):
    preset, golden = convert(f"mae/{case}", tmp_path)
    encoder = encoders.Encoder.from_preset(preset)
    features = contracts.in_one_program(encoder)(golden["x"])
    keys = golden["act_keys"].tolist()
    assert sorted(features) == sorted(keys)
    for key in keys:
        feature = contracts.numpy(features[key])
        expected = golden[f"act/{key}"]
        np.testing.assert_allclose(
            feature, expected, atol=1e-4, rtol=1e-4, err_msg=key
        )


def assert_close(ours, theirs):
    """Within 1e-4 of the largest value, the bar of conversions."""
    error = np.abs(ours - theirs).max()
    assert error <= 1e-4 * np.abs(theirs).max(), error
