"""Published weights of ConvNeXt V2: folders, files, the hub, and damage."""

import hashlib
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest

from contracts import numpy
from keras_drift import encoders
from keras_drift.converters import convnext

safetensors = pytest.importorskip("safetensors.numpy")

ROOT = pathlib.Path(encoders.__file__).parents[2]
REPOSITORY = "facebook/convnextv2-base-22k-224"
HF_CONFIG = {
    "model_type": "convnextv2",
    "hidden_sizes": [2, 3, 4, 5],
    "depths": [1, 2, 1, 1],
    "num_channels": 3,
    "id2label": {"0": "cat"},
}
CONFIG = {"depths": [1, 2, 1, 1], "hidden_dims": [2, 3, 4, 5]}
STEM = "convnextv2.embeddings.patch_embeddings.weight"


def random_tensors():
    rng = np.random.default_rng(0)
    tensors = {
        name: rng.normal(size=shape).astype("float32")
        for name, shape in convnext._expected_shapes(CONFIG)
    }
    return {**tensors, "classifier.bias": np.zeros(7, "float32")}


TENSORS = random_tensors()


@pytest.fixture
def folder(tmp_path):
    """A folder of the format of transformers."""
    (tmp_path / "config.json").write_text(json.dumps(HF_CONFIG))
    safetensors.save_file(TENSORS, tmp_path / "model.safetensors")
    return tmp_path


def check_weights(encoder):
    """Compares some weights of every kind with the tensors by hand."""
    assert encoder.depths == CONFIG["depths"]
    assert encoder.hidden_dims == CONFIG["hidden_dims"]
    stem = numpy(encoder.convolutions[0].kernel)
    assert stem[3, 1, 2, 0] == TENSORS[STEM][0, 2, 3, 1]
    block = encoder.blocks[2]  # the second of stage 1
    prefix = "convnextv2.encoder.stages.1.layers.1."
    depthwise = numpy(block.depthwise.kernel)
    theirs = TENSORS[prefix + "dwconv.weight"]
    assert depthwise[4, 6, 2, 0] == theirs[2, 0, 4, 6]
    expand = numpy(block.expand.kernel)
    np.testing.assert_array_equal(expand, TENSORS[prefix + "pwconv1.weight"].T)
    gamma = numpy(block.response_norm.gamma)
    np.testing.assert_array_equal(
        gamma, TENSORS[prefix + "grn.weight"].reshape(-1)
    )
    np.testing.assert_array_equal(
        numpy(encoder.last_norm.beta), TENSORS["convnextv2.layernorm.bias"]
    )


def test_reads_a_folder(folder):
    check_weights(encoders.ConvNeXtV2.from_preset(folder))


def test_reads_a_single_file(folder):
    (folder / "config.json").unlink()
    file = folder / "model.safetensors"
    check_weights(encoders.ConvNeXtV2.from_preset(str(file)))


def test_reads_a_config_without_weights(folder):
    (folder / "model.safetensors").write_bytes(b"")
    encoder = encoders.ConvNeXtV2.from_preset(folder, load_weights=False)
    assert encoder.hidden_dims == CONFIG["hidden_dims"]
    assert not np.any(numpy(encoder.blocks[0].response_norm.gamma))


def test_half_precision_weights_become_float32(folder):
    half = {name: t.astype("float16") for name, t in TENSORS.items()}
    safetensors.save_file(half, folder / "model.safetensors")
    encoder = encoders.ConvNeXtV2.from_preset(folder)
    bias = numpy(encoder.last_norm.beta)
    assert bias.dtype == "float32"
    np.testing.assert_array_equal(bias, half["convnextv2.layernorm.bias"])


def in_cache(folder, home):
    """Lays a folder out as the cache of the hub in its home."""
    cache = home / "hub" / f"models--{REPOSITORY.replace('/', '--')}"
    commit = "5" * 40
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text(commit)
    (cache / "blobs").mkdir()
    (cache / "snapshots" / commit).mkdir(parents=True)
    for file in folder.iterdir():
        blob = hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copy(file, cache / "blobs" / blob)
        link = cache / "snapshots" / commit / file.name
        link.symlink_to(cache / "blobs" / blob)


LOAD = """
import sys
import keras
before = set(sys.modules)  # Keras imports some of them if they are installed
import keras_drift as kd
for name in (
    "huggingface_hub", "keras_cv", "keras_hub", "safetensors", "transformers"
):
    assert name in before or name not in sys.modules, name
encoder = kd.encoders.ConvNeXtV2.from_preset("hf://REPOSITORY")
for name in ("transformers", "keras_hub", "keras_cv"):
    assert name in before or name not in sys.modules, name
print(encoder.count_params())
"""


def test_loads_from_the_cache_of_the_hub(folder, tmp_path_factory):
    pytest.importorskip("huggingface_hub")
    home = tmp_path_factory.mktemp("home")
    in_cache(folder, home)
    result = subprocess.run(
        [sys.executable, "-c", LOAD.replace("REPOSITORY", REPOSITORY)],
        env={
            **os.environ,
            "HF_HOME": str(home),
            "HF_HUB_OFFLINE": "1",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    size = sum(tensor.size for tensor in TENSORS.values()) - 7
    assert int(result.stdout) == size


@pytest.fixture
def cache(tmp_path_factory, monkeypatch):
    """The home of an empty cache of the hub, without network."""
    pytest.importorskip("huggingface_hub")
    from huggingface_hub import constants

    home = tmp_path_factory.mktemp("home")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return home


def test_reads_the_cache_in_the_same_way(folder, cache):
    in_cache(folder, cache)
    handle = f"hf://{REPOSITORY}"
    check_weights(encoders.ConvNeXtV2.from_preset(handle))


def test_a_preset_of_this_library_is_none_of_transformers(folder, cache):
    (folder / "config.json").write_text('{"class_name": "ConvNeXtV2"}')
    in_cache(folder, cache)
    assert convnext.find(f"hf://{REPOSITORY}") is None
    assert convnext.find("digits_dit") is None


def test_says_what_it_could_not_fetch(folder, cache):
    with pytest.raises(ConnectionError, match=r"`config.json`.*`hf download"):
        encoders.ConvNeXtV2.from_preset(f"hf://{REPOSITORY}")
    (folder / "model.safetensors").unlink()
    in_cache(folder, cache)
    with pytest.raises(
        ConnectionError,
        match=rf"`model.safetensors` \(355.0 MB\) of the repository "
        rf"'{REPOSITORY}'.*https://huggingface.co/{REPOSITORY}/resolve",
    ):
        encoders.ConvNeXtV2.from_preset(f"hf://{REPOSITORY}")


def test_names_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"Received: preset='.*no.safetensors"):
        encoders.ConvNeXtV2.from_preset(tmp_path / "no.safetensors")


def without(name):
    return {key: value for key, value in TENSORS.items() if key != name}


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (without(STEM), rf"lack .*'{STEM}' of shape \(2, 3, 4, 4\)"),
        (
            {**TENSORS, STEM: np.zeros((2, 3, 7, 7), "float32")},
            rf"'{STEM}' has the shape \(2, 3, 4, 4\).*shape=\(2, 3, 7, 7\)",
        ),
        (
            {**TENSORS, "convnextv2.more": np.zeros(3, "float32")},
            r"does not have.*'convnextv2.more' of shape \(3,\)",
        ),
        ({"a": np.zeros(3, "float32")}, r"lack .*Received: 1 arrays"),
    ],
    ids=["missing", "shape", "unknown", "other"],
)
def test_names_tensors_that_do_not_fit_the_config(folder, tensors, message):
    file = folder / "model.safetensors"
    safetensors.save_file(tensors, file)
    with pytest.raises(ValueError, match=message) as error:
        encoders.ConvNeXtV2.from_preset(folder)
    assert str(error.value).startswith("`model.safetensors` is not loaded")
    assert str(file) in str(error.value)
    encoder = encoders.ConvNeXtV2(**CONFIG)
    encoder.build((None, 32, 32, 3))
    before = encoder.get_weights()
    with pytest.raises(ValueError, match=message):
        convnext.assign(encoder, tensors)
    for weight, old in zip(encoder.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def header(entries):
    text = (
        entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    )
    return struct.pack("<Q", len(text)) + text


def entry(shape, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}


HOSTILE = {
    "empty": b"",
    "huge_header": struct.pack("<Q", 1 << 60) + b"{}",
    "no_json": header(b"not JSON"),
    "deep": header(b"[" * 100_000),
    "huge_shape": header({STEM: entry([1 << 40], 1 << 42)}) + b"1234",
    "overflow": header({STEM: entry([1 << 62, 1 << 62], 4)}) + b"1234",
    "path": header({"../../weights": entry([1], 4)}) + b"1234",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("with_config", [True, False])
def test_refuses_hostile_weights_by_name(folder, content, with_config):
    file = folder / "model.safetensors"
    file.write_bytes(content)
    if not with_config:
        (folder / "config.json").unlink()
    with pytest.raises(ValueError, match=r"^`model.safetensors` is not loaded"):
        encoders.ConvNeXtV2.from_preset(file)


def test_refuses_a_truncated_file(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"`model.safetensors`.*truncated"):
        encoders.ConvNeXtV2.from_preset(folder)


def test_refuses_integers(folder):
    bias = "convnextv2.layernorm.bias"
    tensors = {**TENSORS, bias: np.zeros(5, "int32")}
    safetensors.save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ValueError, match=rf"'{bias}' holds floats.*dtype I32"):
        encoders.ConvNeXtV2.from_preset(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting property name"),
        ("[" * 100_000, "nested too deeply"),
        (" " * 1_000_001, "too large"),
        ("[]", "not hold a JSON object"),
        (json.dumps({**HF_CONFIG, "model_type": "convnext"}), "'convnext'"),
        (json.dumps({**HF_CONFIG, "num_channels": 4}), "num_channels=4"),
        (json.dumps({**HF_CONFIG, "depths": [1, 1]}), r"depths=\[1, 1\]"),
        (json.dumps({**HF_CONFIG, "depths": [1, 1, 1, -1]}), "four positive"),
        (json.dumps({**HF_CONFIG, "hidden_sizes": None}), "hidden_sizes=None"),
        (json.dumps({**HF_CONFIG, "depths": [10**12] * 4}), "lack .*layers.1"),
        (
            json.dumps({**HF_CONFIG, "hidden_sizes": [10**9] * 4}),
            r"shape \(1000000000, 3, 4, 4\) in the.*Rec.*\(2, 3, 4, 4\)",
        ),
    ],
)
def test_refuses_a_wrong_config_by_name(folder, text, message):
    (folder / "config.json").write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        encoders.ConvNeXtV2.from_preset(folder)
    assert f"{folder}/" in str(error.value)


def test_says_which_package_is_missing(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ModuleNotFoundError, match=r'"keras-drift\[hub\]"'):
        encoders.ConvNeXtV2.from_preset(folder)


def test_the_base_class_loads_it_too(folder, cache):
    found = encoders.Encoder.from_preset(folder)
    assert type(found) is encoders.ConvNeXtV2
    check_weights(found)
    in_cache(folder, cache)
    handle = f"hf://{REPOSITORY}"
    found = encoders.Encoder.from_preset(
        handle, load_weights=False, image_size=64
    )
    assert found.image_size == 64
    check_weights(encoders.MissingEncoder(handle).loaded())
    with pytest.raises(ValueError, match="holds a `ConvNeXtV2`, not a `MAERes"):
        encoders.MAEResNet.from_preset(handle)
