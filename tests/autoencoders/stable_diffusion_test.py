"""The networks are large, so one of them serves all tests of this file."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_drift
from contracts import assert_close
from contracts import copy_of
from contracts import numpy
from keras_drift import autoencoders
from keras_drift.converters import diffusers_vae

SCALE = 0.18215
# Not the default, and neither square nor of the size of the network's plan.
IMAGES = np.random.default_rng(0).uniform(-1, 1, (3, 32, 24, 3))
LATENTS = np.random.default_rng(1).normal(size=(3, 4, 3, 4))


@pytest.fixture(scope="module")
def reference():
    """The network of the package diffusers, with random weights."""
    torch = pytest.importorskip("torch")
    diffusers = pytest.importorskip("diffusers")
    pytest.importorskip("keras_cv")
    torch.manual_seed(0)
    network = diffusers.AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        sample_size=256,
    )
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            # New norms and biases are ones and zeros, which hide mistakes.
            if parameter.ndim == 1:
                parameter += 0.1 * torch.randn(parameter.shape)
            # Small inputs of the first norms show their epsilon.
            if "coder.conv_in" in name:
                parameter *= 0.02
            # New attention is nearly uniform, whatever asks for what.
            if "to_q" in name or "to_k" in name:
                parameter *= 4
            # A new network has deviations of 0.04 in, and of 2 out, here.
            if name.startswith("quant_conv"):
                parameter *= 5
            if name.startswith("decoder.conv_out"):
                parameter *= 0.2
    return network


@pytest.fixture(scope="module")
def folder(reference, tmp_path_factory):
    """The network as diffusers saves it."""
    folder = tmp_path_factory.mktemp("published")
    reference.save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture(scope="module")
def autoencoder(folder):
    with pytest.MonkeyPatch.context() as patch:
        # The file has all weights: none is drawn, which takes seconds.
        patch.setattr(keras.initializers.VarianceScaling, "__call__", zeros)
        return autoencoders.StableDiffusion.from_preset(folder)


def zeros(self, shape, dtype=None, **kwargs):
    return np.zeros(shape, dtype)


def expected(reference, function, *arrays):
    """What a function of the reference returns for channels-last arrays."""
    import torch

    with torch.no_grad():
        tensors = [
            torch.tensor(array.transpose(0, 3, 1, 2), dtype=torch.float32)
            for array in arrays
        ]
        return [
            tensor.cpu().numpy().transpose(0, 2, 3, 1)
            for tensor in function(reference, *tensors)
        ]


def test_moments_match_diffusers(autoencoder, reference):
    def moments(network, images):
        posterior = network.encode(images).latent_dist
        return posterior.mean, posterior.logvar

    mean, log_variance = expected(reference, moments, IMAGES)
    ours = autoencoder.moments(IMAGES)
    assert_close(ours[0], SCALE * mean, 1e-4)
    assert_close(ours[1] - 2 * np.log(SCALE), log_variance, 1e-4)
    np.testing.assert_array_equal(autoencoder.encode(IMAGES), ours[0])
    assert mean.std() > 0.1


def test_images_match_diffusers(autoencoder, reference):
    def decoded(network, latents):
        return [network.decode(latents / SCALE).sample]

    (images,) = expected(reference, decoded, LATENTS)
    assert images.std() > 0.05
    assert np.abs(images).max() < 1  # nothing is clipped
    ours = autoencoder.decode(LATENTS)
    assert_close(ours, images, 1e-4)
    assert_close(autoencoder.decode(LATENTS, batch_size=1), ours, 1e-4)


def test_images_are_clipped(autoencoder):
    _, bias = autoencoder.decoder.layers[-1].weights
    before = numpy(bias)
    bias.assign([3.0, 0.0, -3.0])
    images = autoencoder.decode(LATENTS)
    bias.assign(before)
    assert np.all(images[..., 0] == 1)
    assert np.all(images[..., 2] == -1)


def test_has_the_published_numbers_of_parameters(autoencoder):
    assert autoencoder.encoder.count_params() == 34_163_664
    assert autoencoder.decoder.count_params() == 49_490_199
    assert not any(each.trainable for each in autoencoder.weights)
    assert autoencoder.image_shape((32, 32, 4)) == (256, 256, 3)
    assert autoencoder.latent_shape((256, 256, 3)) == (32, 32, 4)


def rewritten(folder, target, change):
    """Another file of the published tensors, changed."""
    from safetensors import numpy as safetensors

    tensors = safetensors.load_file(folder / diffusers_vae.WEIGHTS)
    change(tensors)
    target.mkdir(exist_ok=True)
    safetensors.save_file(tensors, target / diffusers_vae.WEIGHTS)
    return target / diffusers_vae.WEIGHTS


def test_reads_the_attention_names_of_old_files(autoencoder, folder, tmp_path):
    def rename(tensors):
        old = {
            "to_q": "query",
            "to_k": "key",
            "to_v": "value",
            "to_out.0": "proj_attn",
        }
        for name in [name for name in tensors if "attentions" in name]:
            for new, before in old.items():
                if f".{new}." in name:
                    tensors[name.replace(new, before)] = tensors.pop(name)
        assert "encoder.mid_block.attentions.0.proj_attn.bias" in tensors

    path = rewritten(folder, tmp_path, rename)
    before = autoencoder.get_weights()
    for variable in autoencoder.weights:
        variable.assign(np.zeros(variable.shape))
    diffusers_vae.assign(autoencoder, path)
    for one, two in zip(before, autoencoder.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_assigns_nothing_unless_everything_fits(autoencoder, folder, tmp_path):
    before = autoencoder.encode(IMAGES[:1])
    bias, kernel = "quant_conv.bias", "decoder.conv_out.weight"
    changes = {
        f"lack .*'{bias}'": lambda tensors: tensors.pop(bias),
        r"does not have.*'of_mine'": lambda tensors: tensors.update(
            of_mine=np.zeros(3, "float32")
        ),
        r"conv_out.*shape \(3, 128, 3, 3\).*shape=\(3, 128, 1, 1\)": (
            lambda tensors: tensors.update(
                {kernel: np.zeros((3, 128, 1, 1), "float32")}
            )
        ),
        "of type I32": lambda tensors: tensors.update(
            {bias: np.zeros(8, "int32")}
        ),
    }
    for message, change in changes.items():
        path = rewritten(folder, tmp_path, change)
        with pytest.raises(ValueError, match=message):
            diffusers_vae.assign(autoencoder, path)
    whole = (folder / diffusers_vae.WEIGHTS).read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"\xff" * 100):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged or incomplete"):
            diffusers_vae.assign(autoencoder, path)
    np.testing.assert_array_equal(autoencoder.encode(IMAGES[:1]), before)


@pytest.mark.slow
def test_config_and_preset_restore_it(autoencoder, tmp_path):
    copy = copy_of(autoencoder)
    assert copy.scale == SCALE
    autoencoder.save_to_preset(tmp_path / "mine")
    copy = autoencoders.Autoencoder.from_preset(tmp_path / "mine")
    assert_close(copy.decode(LATENTS), autoencoder.decode(LATENTS), 1e-6)


@pytest.mark.slow
def test_may_have_another_scale_and_type(autoencoder, folder):
    half = autoencoders.StableDiffusion(scale=0.5, dtype="bfloat16")
    diffusers_vae.assign(half, folder / diffusers_vae.WEIGHTS)
    assert {layer.compute_dtype for layer in half.encoder.layers} == {
        "bfloat16"
    }
    assert keras.config.dtype_policy().name == "float32"
    exact = autoencoder.encode(IMAGES) * (0.5 / SCALE)
    assert_close(half.encode(IMAGES), exact, 0.1)
    images = autoencoder.decode(LATENTS * (SCALE / 0.5))
    assert_close(half.decode(LATENTS), images, 0.1)


def test_names_a_wrong_scale(autoencoder):
    with pytest.raises(ValueError, match=r"`scale`.*=0"):
        autoencoders.StableDiffusion(scale=0)
    with pytest.raises(ValueError, match=r"`scale`.*=-1"):
        autoencoder.scale = -1
    assert autoencoder.scale == SCALE


USE = """
import json, sys
import keras_drift as kd
kd.autoencoders.MissingAutoencoder("somewhere")
print(json.dumps(sorted(sys.modules)))
sys.modules["keras_cv"] = None  # as if it were not installed
kd.autoencoders.StableDiffusion()
"""


def test_keras_cv_is_imported_when_it_is_used():
    """With all extras installed, importing this library imports none."""
    root = pathlib.Path(keras_drift.__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-c", USE],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    loaded = set(json.loads(result.stdout.splitlines()[-1]))
    absent = {"keras_cv", "grain", "tensorflow", "safetensors"}
    assert not loaded & (absent - {keras.backend.backend()})
    assert result.returncode == 1
    assert "ImportError" in result.stderr
    assert 'pip install "keras-drift[imagenet]"' in result.stderr
