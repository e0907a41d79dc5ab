import json

import pytest

from keras_drift import autoencoders
from keras_drift.converters import diffusers_vae
from keras_drift.presets import hub
from tiny_autoencoder import TinyAutoencoder

# As published in `stabilityai/sd-vae-ft-mse`.
CONFIG = {
    "_class_name": "AutoencoderKL",
    "_diffusers_version": "0.4.2",
    "act_fn": "silu",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 256,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}


@pytest.fixture
def config_file(tmp_path):
    def write(text):
        path = tmp_path / "config.json"
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        return path

    return write


def test_reads_the_scale(config_file):
    config = diffusers_vae.read_config(config_file(CONFIG))
    assert config == {"scale": 0.18215}
    other = config_file({**CONFIG, "scaling_factor": 0.13025})
    assert diffusers_vae.read_config(other) == {"scale": 0.13025}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_class_name", "AutoencoderTiny"),
        ("block_out_channels", [64, 128, 256, 256]),
        ("latent_channels", 16),
        ("layers_per_block", 1),
        ("shift_factor", 0.1),
        ("use_quant_conv", False),
    ],
)
def test_names_another_architecture(config_file, name, value):
    path = config_file({**CONFIG, name: value})
    with pytest.raises(ValueError, match=f"'{name}' is.*Received: .*{path}"):
        diffusers_vae.read_config(path)
    if name in CONFIG:  # the default of diffusers is another
        left_out = {k: v for k, v in CONFIG.items() if k != name}
        if name != "latent_channels":
            with pytest.raises(ValueError, match=f"'{name}' is"):
                diffusers_vae.read_config(config_file(left_out))


@pytest.mark.parametrize(
    "text", ["", "{", "[1, 2]", "[" * 100_000, " " * 2_000_000], ids=len
)
def test_names_a_damaged_config(config_file, text):
    path = config_file(text)
    with pytest.raises(ValueError, match=f"config of an.*{path}"):
        diffusers_vae.read_config(path)
    path.unlink()
    with pytest.raises(ValueError, match=f"config of an.*{path}"):
        diffusers_vae.read_config(path)


def test_other_classes_do_not_load_such_a_folder(config_file, tmp_path):
    config_file(CONFIG)
    (tmp_path / diffusers_vae.WEIGHTS).write_bytes(b"")
    with pytest.raises(ValueError, match=r"holds a `StableDiff.*`Missing"):
        autoencoders.MissingAutoencoder.from_preset(tmp_path)


def test_says_what_it_wanted_to_fetch(monkeypatch, tmp_path):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for cls in (autoencoders.Autoencoder, autoencoders.StableDiffusion):
        with pytest.raises(
            ConnectionError, match=r"config.json.*'stabilityai/sd-vae-ft-mse'"
        ):
            cls.from_preset("hf://stabilityai/sd-vae-ft-mse")


def test_a_preset_of_this_library_is_none_of_diffusers(monkeypatch, tmp_path):
    TinyAutoencoder(batch_size=3).save_to_preset(tmp_path / "mine")

    def fetch(repo_id, name, revision=None, num_bytes=None):
        return tmp_path / "mine" / name

    monkeypatch.setattr(hub, "fetch", fetch)
    found = autoencoders.Autoencoder.from_preset("hf://me/mine")
    assert type(found) is TinyAutoencoder
    assert found.batch_size == 3
