"""The released networks, with their weights, draw what they drew there."""

import json
import pathlib

import keras
import numpy as np
import pytest
from keras import ops

from keras_drift import generators
from keras_drift.converters import official_dit

GOLDEN = pathlib.Path(__file__).parents[3] / "shared/golden/generator"
CASES = ["latent", "layernorm_mixed", "pixel", "plain"]


@pytest.fixture(scope="module", params=CASES)
def released(request):
    """The fresh positions, the loaded network, and what to expect of both."""
    folder = GOLDEN / request.param
    if not folder.exists():
        pytest.skip(f"needs the golden data in {folder}")
    metadata = json.loads((folder / "metadata.json").read_text())
    generator = generators.DiT(**official_dit.config_of(metadata))
    positions = ops.convert_to_numpy(generator.get_layer("positions").table)
    params = read_params(folder / "ema_params.msgpack")
    official_dit.assign(generator, params)
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


def read_params(file):
    """Arrays by their paths, from what `flax.serialization` writes."""
    with file.open("rb") as stream:
        return dict(flatten(read_msgpack(stream)))


def flatten(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}/")
        else:
            yield prefix + key, value


def read_msgpack(stream):
    """Reads the next value, one of those that occur in parameter files."""

    def number(num_bytes):
        return int.from_bytes(stream.read(num_bytes), "big")

    tag = number(1)
    if tag < 0x80:  # a small number, map, list, string
        return tag
    if tag < 0x90:
        return read_map(stream, tag - 0x80)
    if tag < 0xA0:
        return [read_msgpack(stream) for _ in range(tag - 0x90)]
    if tag < 0xC0:
        return stream.read(tag - 0xA0).decode()
    if 0xC4 <= tag <= 0xC6:  # bytes, of a size of 1, 2 or 4 bytes
        return stream.read(number(1 << tag - 0xC4))
    if 0xC7 <= tag <= 0xC9:
        return read_array(stream, number(1 << tag - 0xC7))
    if 0xCC <= tag <= 0xCF:
        return number(1 << tag - 0xCC)
    if 0xD9 <= tag <= 0xDB:
        return stream.read(number(1 << tag - 0xD9)).decode()
    if 0xDE <= tag <= 0xDF:
        return read_map(stream, number(2 << tag - 0xDE))
    raise ValueError(f"Unexpected msgpack type {tag:#x}")


def read_map(stream, size):
    return {read_msgpack(stream): read_msgpack(stream) for _ in range(size)}


def read_array(stream, num_bytes):
    """An array is extension 1: the list `[shape, dtype, values]`."""
    end = stream.tell() + 1 + num_bytes
    assert stream.read(1) == b"\x01"
    shape, dtype, values = read_msgpack(stream)
    assert stream.tell() == end
    return np.frombuffer(values, dtype).reshape(shape)
