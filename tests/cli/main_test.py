"""The command line: what it prints, what it writes, and how it fails."""

import inspect
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_drift
import small_models
from keras_drift import DriftModel
from keras_drift import generators
from keras_drift import images
from keras_drift_cli import main
from runtimes import served


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())


@pytest.fixture(scope="module")
def model():
    return small_models.image_model()


@pytest.fixture
def preset(model, tmp_path):
    model.save_to_preset(tmp_path / "mine")
    return str(tmp_path / "mine")


def call(*arguments):
    return main.main([str(each) for each in arguments])


def refused(capsys, *arguments):
    """The message of a command that fails."""
    assert call(*arguments) == 1
    return capsys.readouterr().err


def test_draws_a_grid(model, preset, tmp_path, capsys):
    from PIL import Image

    path = tmp_path / "new" / "grid.png"
    options = ("--labels", 2, "0-1", "--rows", 2, "--seed", 5)
    assert call("draw", preset, *options, "--out", path) == 0
    assert capsys.readouterr().out == f"{path}\n"
    samples = model.generate(labels=[2, 0, 1] * 2, seed=5)
    expected = images.image_grid(samples, 3, scale=16)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), expected)


def test_draws_an_array(model, preset, tmp_path):
    path = tmp_path / "new" / "samples.npy"
    options = ("--labels", "1-2", "--number", 5, "--guidance", 1.0)
    assert call("draw", preset, *options, "--out", path) == 0
    expected = model.generate(labels=[1, 2, 1, 2, 1], seed=0)
    np.testing.assert_array_equal(np.load(path), expected)
    assert call("draw", preset, "--labels", 2, "--out", path) == 0
    assert np.load(path).shape == (1, 4, 4, 1)


def test_draws_a_folder_of_images(preset, tmp_path):
    folder = tmp_path / "images"
    assert call("draw", preset, "--number", 3, "--out", folder) == 0
    names = sorted(path.name for path in folder.glob("*.png"))
    assert names == ["000000.png", "000001.png", "000002.png"]


def test_points_are_an_array(tmp_path, capsys):
    DriftModel(generators.MLP(2, hidden_dims=(4,))).save_to_preset(
        tmp_path / "points"
    )
    path = tmp_path / "points.npy"
    assert call("draw", tmp_path / "points", "--out", path) == 0
    assert np.load(path).shape == (64, 2)
    message = refused(
        capsys, "draw", tmp_path / "points", "--out", tmp_path / "points.png"
    )
    assert "Only images of one or three channels can be shown" in message


def test_evaluates_like_the_library(preset, tmp_path, capsys, monkeypatch):
    calls = []

    evaluate_itself = inspect.signature(keras_drift.evaluation.evaluate)

    def evaluate(model, reference, **options):
        evaluate_itself.bind(model, reference, **options)
        assert model.generator.num_classes == 3
        calls.append((reference, options.pop("guidance"), options))
        return {"fid": 1.5}

    def sweep(model, reference, scales, **options):
        calls.append((reference, scales, options))
        return {"best": {"fid": 1.0}}

    monkeypatch.setattr(keras_drift.evaluation, "evaluate", evaluate)
    monkeypatch.setattr(keras_drift.evaluation, "sweep_guidance", sweep)
    options = ("--num-samples", 8, "--features", "x.keras")
    assert call("evaluate", preset, "ref.npz", *options) == 0
    assert json.loads(capsys.readouterr().out) == {"fid": 1.5}
    assert call("evaluate", preset, "ref.npz", "--guidance", 1, 2) == 0
    assert json.loads(capsys.readouterr().out) == {"best": {"fid": 1.0}}
    (_, scale, first), (_, scales, second) = calls
    assert scale == 1.0
    assert scales == [1.0, 2.0]
    assert first["num_samples"] == 8
    assert first["features"] == "x.keras"
    assert second["num_samples"] == 50_000


def test_lists_presets(capsys):
    assert call("presets") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["name", "parameters", "image"]
    (digits,) = (line for line in lines if line.startswith("digits_dit"))
    for part in ("0.203M", "8x8x1", "sliced wasserstein 0.0616", "Apache-2.0"):
        assert part in digits
    assert "(floor 0.0634)" in digits
    assert len(lines) == 1 + len(DriftModel.presets)
    assert call("presets", "--all") == 0
    everything = capsys.readouterr().out
    assert "mae_latent_640" in everything
    assert "dit_b2_latent" in everything


def test_describes_a_preset(capsys):
    assert call("presets", "digits_dit") == 0
    found = json.loads(capsys.readouterr().out)
    assert found == DriftModel.presets["digits_dit"]
    message = refused(capsys, "presets", "digit_dit")
    assert "Did you mean 'digits_dit'?" in message


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("draw", "digits_di", "--out", "x.png"), "Did you mean 'digits_dit'"),
        (("draw", "{}", "--out", "x.jpg"), "--out is a .png file, an .npy"),
        (("draw", "{}", "--labels", 3, "--out", "x.npy"), "numbers from 0 to"),
        (("draw", "{}", "--number", 3, "--out", "x.png"), "Leave --number out"),
        (
            ("draw", "{}", "--rows", 0, "--out", "x.png"),
            "--rows must be at least 1",
        ),
        (("draw", "{}", "--rows", 3, "--out", "x.npy"), "--rows is for a grid"),
        (("draw", "no_preset", "--out", "x.txt"), "--out is a .png file"),
        (("draw", "{}", "--guidance", 9, "--out", "x.npy"), "guidance"),
        (("evaluate", "{}", "nowhere"), "reference='nowhere'"),
    ],
)
def test_says_what_is_wrong(
    preset, capsys, tmp_path, monkeypatch, arguments, match
):
    monkeypatch.chdir(tmp_path)
    arguments = [str(each).replace("{}", preset) for each in arguments]
    message = refused(capsys, *arguments)
    assert message.startswith("error: ")
    assert match in message
    assert not list(tmp_path.glob("x.*"))


@pytest.mark.parametrize("label", ["a", "1-b", "3-1", ""])
def test_labels_are_numbers_and_ranges(label, capsys):
    with pytest.raises(SystemExit):
        call("draw", "digits_dit", "--labels", label, "--out", "x.png")
    message = capsys.readouterr().err
    assert "--labels" in message
    assert ("write 1-3" in message) == (label == "3-1")


def test_exports_what_the_library_does(preset, model, tmp_path, capsys):
    path = tmp_path / "model.onnx"
    assert call("export", preset, "--out", path) == 0
    assert str(path) in capsys.readouterr().out
    inputs = model.generator.sample_inputs(2, seed=0)
    images = model.generate(2, seed=0)
    np.testing.assert_allclose(served(path, inputs), images, atol=1e-5)
    assert call("export", "no_such_preset", "--out", "model.h5") == 1
    assert "'.onnx'" in capsys.readouterr().err  # the path, not the preset


def test_every_command_has_help_with_examples(capsys):
    for module in main.COMMANDS:
        name = module.__name__.rpartition(".")[-1]
        with pytest.raises(SystemExit) as exit:
            call(name, "--help")
        assert exit.value.code == 0
        text = capsys.readouterr().out
        assert f"keras-drift {name}" in text
        assert "Example" in text
    with pytest.raises(SystemExit):
        call("--help")
    whole = capsys.readouterr().out
    for module in main.COMMANDS:
        assert module.HELP in whole


def test_examples_of_the_help_are_parsed():
    for module in main.COMMANDS:
        for line in module.EXAMPLES.splitlines():
            words = line.split("   ")[0].split()
            if words[:1] == ["keras-drift"]:
                main.parser().parse_args(words[1:])


def test_help_needs_no_backend():
    result = subprocess.run(
        [sys.executable, "-m", "keras_drift_cli", "--help"],
        env={**os.environ, "KERAS_BACKEND": "numpy_of_nobody"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "keras-drift doctor" in result.stdout
