"""The released networks, with their weights, draw what they drew there."""

import keras
import numpy as np
import pytest
from keras import ops

import golden as golden_data
from keras_drift import generators
from keras_drift.converters import official_dit
from keras_drift.converters.artifact import Artifact

pytest.importorskip("msgpack")

CASES = ["latent", "layernorm_mixed", "pixel", "plain"]


@pytest.fixture(scope="module", params=CASES)
def released(request):
    """The fresh positions, the loaded network, and what to expect of both."""
    folder = golden_data.find(f"generator/{request.param}")
    artifact = Artifact(folder)
    generator = generators.DiT(**official_dit.config_of(artifact.metadata))
    positions = ops.convert_to_numpy(generator.get_layer("positions").table)
    official_dit.assign(generator, artifact.read_arrays())
    names = ["condition", "block_0", "block_1"]
    on_the_way = [generator.get_layer(name).output for name in names]
    model = keras.Model(generator.input, [*on_the_way, generator.output])
    return positions, model, np.load(folder / "io.npz")


def test_fresh_network_has_the_released_positions(released):
    positions, _, golden = released
    np.testing.assert_allclose(positions, golden["pos_embed_init"], atol=1e-6)


def test_computes_what_the_release_computes(released):
    _, model, golden = released
    results = model.predict_on_batch(inputs(model, golden))
    condition, first, second, samples = results
    assert_close(condition, golden["cond"], atol=1e-5, rtol=1e-5)
    assert_close(first, golden["mid/blocks_0"])
    assert_close(second, golden["mid/blocks_1"])
    assert_close(samples, golden["samples"])


def test_computes_the_same_with_one_guidance_and_a_temperature(released):
    _, model, golden = released
    changed = {
        **inputs(model, golden),
        "noise": golden["x"] * golden["temp_scalar"],
        "guidance": np.full(3, golden["cfg_scale_scalar"]),
    }
    condition, _, _, samples = model.predict_on_batch(changed)
    assert_close(condition, golden["cond_scalar_cfg"], atol=1e-5, rtol=1e-5)
    assert_close(samples, golden["samples_scalar_cfg_temp"])


def assert_close(ours, theirs, atol=2e-5, rtol=1e-4):
    np.testing.assert_allclose(ours, theirs, atol=atol, rtol=rtol)


def inputs(model, golden):
    """The inputs of the golden samples, under our names."""
    theirs = {
        "noise": golden["x"],
        "labels": golden["c"],
        "guidance": golden["cfg_scale"],
        "styles": golden["noise_labels"],
    }
    return {key: theirs[key] for key in model.input}
