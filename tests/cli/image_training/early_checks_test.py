"""What ends the command at once, and not after hours of training."""

import importlib.util

import numpy as np
import pytest
import torch
from PIL import Image

import keras_drift as kd
from keras_drift.evaluation import inception
from keras_drift_cli import main
from keras_drift_cli.image_training import config as configs
from keras_drift_cli.image_training import early_checks

STAGES = ["data", "encoder", "generator", "evaluate", "preset"]
PLAIN = """
data: {source: drawn, image_size: 16}
generator: {patch_size: 4, hidden_dim: 8, depth: 1}
training: {steps: 4, steps_per_epoch: 2, warmup_steps: 1}
"""
ENCODER = """
encoder:
  train: {base_channels: 8, num_blocks: [1, 1, 1, 1], steps: 4}
"""


def check(text, tmp_path, *overrides, stages=STAGES):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    pairs = [configs.parsed_override(each) for each in overrides]
    config = configs.load(path, pairs)
    optional = {"encoder": config.encoder, "evaluate": config.evaluation}
    stages = [name for name in stages if optional.get(name, True)]
    early_checks.check(config, stages)


def test_what_can_be_trained_is_accepted(tmp_path):
    check(PLAIN, tmp_path)
    check(PLAIN + ENCODER, tmp_path)
    pca = "latents={autoencoder: pca, patch_size: 2, channels: 4}"
    check(PLAIN + ENCODER, tmp_path, pca, stages=["latents", *STAGES])


@pytest.mark.parametrize(
    "name",
    [
        *("cifar10", "folder", "folder_small", "imagenet_smoke"),
        *("mae_pixel_640", "mnist"),
    ],
)
def test_networks_of_the_package_fit_their_images(name):
    config = configs.load(configs.find(name))
    sections = ("encoder", config.encoder), ("generator", config.generator)
    trained = [name for name, section in sections if section is not None]
    early_checks.check(config, ["data", *trained])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("generator.patch_size=3", "`generator`: .*patch_size=3"),
        ("generator.num_heads=3", "`generator`: .*num_heads=3"),
        ("generator.dtype=float31", "`generator`: .*float31"),
        ("encoder.train.patch_size=3", "`encoder.train`: .*multiples of `p"),
        ("encoder.train.mask_patch_size=5", "`encoder.train`: .*size=5"),
        ("encoder.train.num_blocks=[1, 1]", "`encoder.train`: .*num_blocks"),
        ("encoder.train.mask_ratio=2.0", "`encoder.train`: .*mask_ratio=2"),
        (
            "latents={autoencoder: pca, patch_size: 5}",
            "`latents`: .*multiples of 5",
        ),
        (
            "latents={autoencoder: pca, patch_size: 2, channels: 13}",
            "`latents`: .*latent_channels=13",
        ),
        ("drift.normalization=duel", "duel"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        check(PLAIN + ENCODER, tmp_path, change)


def test_the_generator_fits_the_latents_and_not_the_images(tmp_path):
    pca = "latents={autoencoder: pca, patch_size: 8, channels: 4}"
    with pytest.raises(ValueError, match=r"`generator`: .*\(2, 2, 4\)"):
        check(PLAIN, tmp_path, pca)


def encoder_preset(folder, channels=3):
    options = {"base_channels": 8, "num_blocks": [1, 1, 1, 1]}
    encoder = kd.encoders.MAEResNet(
        channels, **options, global_mean=False, global_std=False
    )
    encoder.save_to_preset(folder)
    return folder


def test_an_encoder_that_is_not_there_is_refused(tmp_path):
    check(PLAIN, tmp_path, f"encoder.preset={encoder_preset(tmp_path / 'a')}")
    with pytest.raises(ValueError, match="`encoder`: There is no such folder"):
        check(PLAIN, tmp_path, f"encoder.preset={tmp_path}/b")
    with pytest.raises(ValueError, match=r"`encoder`: .*Did you mean 'mae_pix"):
        check(PLAIN, tmp_path, "encoder.preset=mae_pixel_64")
    with pytest.raises(ValueError, match=r"`encoder`: .*not a `MAER"):
        check(PLAIN, tmp_path, "encoder.preset=digits_dit")


def test_an_encoder_of_other_images_is_refused(tmp_path):
    path = encoder_preset(tmp_path / "gray", channels=1)
    with pytest.raises(ValueError, match=r"`encoder`: This.*16, 16, 3\)"):
        check(PLAIN, tmp_path, f"encoder.preset={path}")


def test_an_autoencoder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`latents`: There is no such folder"):
        check(PLAIN, tmp_path, f"latents.autoencoder={tmp_path}/nowhere")


def test_weights_of_inception_are_asked_for(tmp_path, monkeypatch):
    evaluation = "evaluation={features: inception, num_samples: 16}"
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_DRIFT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ValueError, match=r"`evaluation`: .*Inception.*Downl"):
        check(PLAIN, tmp_path, evaluation)
    # Not if nothing is evaluated, or by the features of another network.
    check(PLAIN, tmp_path, evaluation, stages=["data", "generator"])
    check(PLAIN, tmp_path, evaluation, "evaluation.features=encoder")
    weights = f"evaluation.weights_path={tmp_path}/weights.pth"
    with pytest.raises(ValueError, match=r"`evaluation`: .*weights.pth"):
        check(PLAIN, tmp_path, evaluation, weights)
    torch.save({}, tmp_path / "weights.pth")
    check(PLAIN, tmp_path, evaluation, weights)


@pytest.fixture
def inception_weights(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    torch.save({}, path)
    inception.check_weights(path)
    return f"evaluation.weights_path={path}"


@pytest.mark.parametrize(
    ("features", "least"), [("inception", 10), ("encoder", 4)]
)
def test_fewer_samples_than_the_metrics_need_are_refused(
    tmp_path, inception_weights, features, least
):
    def with_samples(count, **options):
        evaluation = f"{{features: {features}, num_samples: {count}}}"
        evaluation = f"evaluation={evaluation}"
        check(PLAIN, tmp_path, evaluation, inception_weights, **options)

    with pytest.raises(ValueError, match=f"`evaluation`: .*least {least} sam"):
        with_samples(least - 1)
    with_samples(least)
    with_samples(least - 1, stages=["data", "generator"])


def test_a_reference_that_cannot_be_used_is_refused(
    tmp_path, inception_weights
):
    def with_reference(name, *changes):
        check(
            PLAIN,
            tmp_path,
            "evaluation={num_samples: 16}",
            inception_weights,
            f"evaluation.reference={tmp_path / name}",
            *changes,
        )

    def statistics(name, dim):
        np.savez(tmp_path / name, mu=np.zeros(dim), sigma=np.eye(dim))

    with pytest.raises(ValueError, match=r"`evaluation.reference`: There is"):
        with_reference("nowhere.npz")
    statistics("small.npz", 16)
    with pytest.raises(ValueError, match=r"reference`: .*returns 2048.*\(16,"):
        with_reference("small.npz")
    with_reference("small.npz", "evaluation.features=encoder")
    statistics("inception.npz", 2048)
    with_reference("inception.npz")
    np.savez(tmp_path / "large.npz", arr_0=np.zeros((4, 32, 32, 3), "uint8"))
    with pytest.raises(ValueError, match=r"reference`: .*32, 32, 3"):
        with_reference("large.npz")
    (tmp_path / "text.npz").write_text("no arrays")
    with pytest.raises(ValueError, match=r"reference`: .*cannot read as"):
        with_reference("text.npz")
    (tmp_path / "images").mkdir()
    with pytest.raises(ValueError, match=r"reference`: .*without images"):
        with_reference("images")
    image = Image.new("RGB", (16, 16))
    image.save(tmp_path / "images/0.png")
    with pytest.raises(ValueError, match=r"reference`: .*at least 2"):
        with_reference("images")
    image.save(tmp_path / "images/1.png")
    with_reference("images")


@pytest.mark.parametrize(
    ("module", "changes", "remedy"),
    [
        ("wandb", ["training.wandb=mine"], "pip install wandb"),
        (
            "grain",
            ["data.source=folder", "training.banks={}"],
            r"keras-drift\[imagenet\].*data.workers=0",
        ),
    ],
)
def test_packages_of_later_stages_are_asked_for(
    tmp_path, monkeypatch, module, changes, remedy
):
    found = importlib.util.find_spec
    present = {"missing": True}

    def find(name, *args):
        if name == module:
            return None if present["missing"] else object()
        return found(name, *args)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    with pytest.raises(ModuleNotFoundError, match=f"{module}: .*{remedy}"):
        check(PLAIN, tmp_path, *changes)
    check(PLAIN, tmp_path, *changes, stages=["data"])
    present["missing"] = False
    check(PLAIN, tmp_path, *changes)


def test_images_of_the_caller_need_no_grain(tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *args: None if name == "grain" else found(name, *args),
    )
    changes = ["data.source=folder", "training.banks={}", "data.workers=0"]
    check(PLAIN, tmp_path, *changes)


def command(tmp_path, run, *arguments):
    path = tmp_path / "tiny.yaml"
    path.write_text(PLAIN)
    return main.main(["train", str(path), f"--run={run}", *arguments])


def test_the_command_leaves_nothing_of_a_run_that_cannot_be(tmp_path, capsys):
    run = tmp_path / "run"
    assert command(tmp_path, run, "--set", "generator.num_heads=3") == 1
    assert "error: `generator`: `num_heads`" in capsys.readouterr().err
    assert not run.exists()


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert command(tmp_path, tmp_path / "file/run") == 1
    message = capsys.readouterr().err
    assert "error: The folder of the run cannot be written to" in message
    assert f"{tmp_path / 'file/run'}" in message
