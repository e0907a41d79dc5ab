"""Trains as the command does, at the size of a toy."""

import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import keras_drift
from keras_drift_cli import main
from keras_drift_cli import train as command
from keras_drift_cli.image_training import config as configs
from keras_drift_cli.image_training import report
from keras_drift_cli.image_training import sources
from keras_drift_cli.image_training import stages
from turns import beside_torch_on

FLAT_HELP = " ".join(command.EXAMPLES.split())
PIXELS = """
description: pixels
seed: 0
data: {source: drawn, image_size: 16, held_out: 0.25}
generator:
  {patch_size: 4, hidden_dim: 8, depth: 1, num_context_tokens: 0,
   num_style_tokens: 0}
training:
  {steps: 6, steps_per_epoch: 2, groups: 2, positives: 4, generated: 4,
   unconditional: 2, warmup_steps: 1, report_samples: 16}
evaluation: {num_samples: 16, guidance: [1.0, 2.0], features: encoder}
"""
LATENTS = """
latents: {autoencoder: pca, channels: 4, patch_size: 2}
encoder:
  include_samples: false
  means: []
  stds: []
  every_k_blocks: null
  train:
    {base_channels: 8, num_blocks: [1, 1, 1, 1], mask_patch_size: 2, steps: 4,
     batch_size: 8, warmup_steps: 1, classifier_weight: 0.1,
     classifier_steps: 2}
"""


def train(folder, text, *arguments, status=0):
    path = folder / "tiny.yaml"
    path.write_text(text)
    arguments = ["train", str(path), f"--run={folder / 'run'}", *arguments]
    options = main.parser().parse_args(arguments)
    assert options.run(options) == status
    return folder / "run"


def lines(run, stage):
    text = (run / "metrics.jsonl").read_text()
    found = map(json.loads, text.splitlines())
    return [line for line in found if line["stage"] == stage]


def trained(run):
    model = keras_drift.DriftModel.from_preset(run / "generator")
    return [np.asarray(w) for w in model.generator.get_weights()]


@pytest.mark.filterwarnings("ignore:The covariance of")
def test_a_run_leaves_everything_in_its_folder(tmp_path, capsys):
    run = train(tmp_path, PIXELS)
    printed = capsys.readouterr().out
    assert printed.index("not counted") < printed.index("Epoch 1/3")
    assert [line["epoch"] for line in lines(run, "generator")] == [1, 2, 3]
    assert len(lines(run, "evaluate")) == 2
    assert len(list((run / "grids").glob("*.png"))) == 3
    for name in ("config.yaml", "environment.json", "stages.json"):
        assert (run / name).is_file()
    card = json.loads((run / "preset/metadata.json").read_text())
    assert card["metrics"]["fid"] > 0
    assert card["training"]["steps"] == 6
    model = keras_drift.DriftModel.from_preset(run / "preset")
    assert model.generate(labels=[3], seed=0).shape == (1, 16, 16, 3)
    train(tmp_path, PIXELS)  # nothing is done twice
    assert "== generator: complete" in capsys.readouterr().out
    assert len(lines(run, "generator")) == 3


def test_refuses_a_run_that_does_not_fit_into_the_memory(tmp_path):
    options = "--set", "training.device_memory_gb=0.0001"
    with pytest.raises(ValueError, match="do not fit on a device"):
        train(tmp_path, PIXELS, "--until=generator", *options)


def test_a_stopped_run_goes_on_to_the_same_weights(
    monkeypatch, tmp_path, capsys
):
    at_once = train(tmp_path, PIXELS, "--until=generator")
    expected = trained(at_once)
    other = tmp_path / "other"
    other.mkdir()
    on_epoch_begin = report.Report.on_epoch_begin

    def stop(self, epoch, logs=None):
        on_epoch_begin(self, epoch, logs)
        if epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(report.Report, "on_epoch_begin", stop)
        train(other, PIXELS, "--until=generator", status=130)
    assert "The same command goes on" in capsys.readouterr().out
    # As if it had been killed between the third report and its checkpoint.
    found = lines(other / "run", "generator")[-1]
    with open(other / "run" / "metrics.jsonl", "a") as file:
        file.write(json.dumps({**found, "epoch": 3, "step": 6}) + "\n")
    run = train(other, PIXELS, "--until=generator")
    assert "Before step 5, where it goes on" in capsys.readouterr().out
    assert [line["epoch"] for line in lines(run, "generator")] == [1, 2, 3]
    for one, two in zip(expected, trained(run), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.slow
def test_latents_and_an_encoder_of_its_own(tmp_path):
    run = train(tmp_path, PIXELS + LATENTS, "--until=generator")
    assert len(lines(run, "encoder")) == 1
    assert len(lines(run, "generator")) == 3
    model = keras_drift.DriftModel.from_preset(run / "generator")
    assert model.generate(labels=[3], seed=0).shape == (1, 16, 16, 3)


def test_what_the_evaluation_needs_is_asked_for_first(monkeypatch, tmp_path):
    found = importlib.util.find_spec

    def without(name, *args):
        return None if name == "torch_fidelity" else found(name, *args)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    with pytest.raises(ModuleNotFoundError, match="needs torch_fidelity"):
        train(tmp_path, PIXELS)
    assert not (tmp_path / "run").exists()


def test_a_misspelt_stage_is_an_error_before_anything(tmp_path):
    with pytest.raises(ValueError, match="A stage is one of"):
        train(tmp_path, PIXELS, "--until=generate")
    assert not (tmp_path / "run").exists()


def wall(run):
    """When the generator of a run was written, in nanoseconds."""
    return (run / "generator/model.weights.h5").stat().st_mtime_ns


@beside_torch_on("jax")
@pytest.mark.filterwarnings("ignore:The covariance of")
def test_a_stage_done_again_does_all_later_ones_again(tmp_path, capsys):
    # Statistics of its features, which only the Fréchet distance can do with.
    path, dim = tmp_path / "statistics.npz", 64
    np.savez(path, mu=np.zeros(dim), sigma=np.eye(dim))
    reference = f"--set=evaluation.reference={path}"
    run = train(tmp_path, PIXELS, reference)
    assert "fid" in lines(run, "evaluate")[0]
    expected, before = trained(run), wall(run)
    capsys.readouterr()
    train(tmp_path, PIXELS, reference, "--redo", "data")
    printed = capsys.readouterr().out
    assert "complete" not in printed
    assert wall(run) != before
    # From the first step on, not from the checkpoints of the run before.
    assert [line["epoch"] for line in lines(run, "generator")] == 2 * [1, 2, 3]
    assert len(lines(run, "evaluate")) == 4
    for one, two in zip(expected, trained(run), strict=True):
        np.testing.assert_array_equal(one, two)


@beside_torch_on("jax")
@pytest.mark.filterwarnings("ignore:The covariance of")
def test_later_stages_stay_to_be_done_when_the_redone_one_is_stopped(tmp_path):
    run = train(tmp_path, PIXELS)
    train(
        tmp_path,
        PIXELS,
        "--redo",
        "generator",
        "--until=generator",
    )
    assert set(json.loads((run / "stages.json").read_text())) == {
        "data",
        "generator",
    }
    assert not (run / "preset").exists()


def test_a_stage_that_is_not_planned_is_refused(tmp_path):
    for option in ("--until=latents", "--redo=encoder"):
        with pytest.raises(ValueError, match="The stages of this config"):
            train(tmp_path, PIXELS, option)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["cats #2", "a: b"])
def test_the_folder_of_the_images_has_any_name(tmp_path, name):
    with pytest.raises(ValueError, match="existing folder") as error:
        train(
            tmp_path,
            PIXELS,
            f"--data={tmp_path / name}",
            "--set=data.source=folder",
            "--set=data.in_memory=true",
        )
    assert f"{tmp_path / name}'" in str(error.value)


def test_other_images_are_refused_when_a_run_goes_on(monkeypatch, tmp_path):
    train(tmp_path, PIXELS, "--until=data")
    load = sources.load

    def changed(*arguments):
        training, held_out = load(*arguments)
        return sources.Subset(training, np.arange(50)), held_out

    monkeypatch.setattr(sources, "load", changed)
    with pytest.raises(ValueError, match="not those that this run began with"):
        train(tmp_path, PIXELS, "--until=generator")
    train(tmp_path, PIXELS, "--until=data", "--redo=data")


@pytest.mark.parametrize("archived", [False, True])
def test_changed_files_are_refused_when_a_run_goes_on(tmp_path, archived):
    folder = tmp_path / "pets"
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for index in range(8):
            Image.new("RGB", (16, 16), (index, 0, 0)).save(
                folder / name / f"{index}.png"
            )

    def data():
        if archived:
            shutil.make_archive(str(folder), "zip", folder)
        return f"{folder}.zip" if archived else folder

    options = [
        f"--data={data()}",
        "--set=data.source=folder",
        "--set=data.in_memory=true",
    ]
    train(tmp_path, PIXELS, "--until=data", *options)
    Image.new("RGB", (16, 16)).save(folder / "cat/new.png")
    data()
    with pytest.raises(ValueError, match=r"--redo data"):
        train(tmp_path, PIXELS, "--until=generator", *options)
    run = train(tmp_path, PIXELS, "--until=data", "--redo=data", *options)
    found = json.loads((run / "stages.json").read_text())["data"]
    assert found["num_images"] + found["num_held_out"] == 17


def test_what_evaluation_would_refuse_is_refused_first(tmp_path):
    with pytest.raises(ValueError, match="trained for guidance scales"):
        train(tmp_path, PIXELS, "--set=evaluation.guidance=[9.0]")


@beside_torch_on("jax")
def test_a_preset_needs_no_other_folder(tmp_path):
    encoder = keras_drift.encoders.MAEResNet(
        3,
        base_channels=8,
        num_blocks=[1, 1, 1, 1],
        every_k_blocks=None,
        global_mean=False,
        global_std=False,
        means=(),
        stds=(),
    )
    encoder.save_to_preset(tmp_path / "mine")
    run = train(
        tmp_path,
        PIXELS,
        f"--set=encoder.preset={tmp_path}/mine",
        "--set=encoder.include_samples=false",
        "--skip",
        "evaluate",
    )
    (tmp_path / "mine").rename(tmp_path / "elsewhere")
    (run / "preset").rename(tmp_path / "preset")
    model = keras_drift.DriftModel.from_preset(tmp_path / "preset")
    assert not model.encoder.missing()
    assert model.generate(labels=[3], seed=0).shape == (1, 16, 16, 3)


def test_a_name_is_that_of_a_file_of_the_package(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    # Refused after the configuration was found and read.
    assert main.main(["train", "cifar10", "--until", "latents"]) == 1
    assert "The stages of this configuration" in capsys.readouterr().err
    for name, match in (
        ("cifar", "Did you mean `cifar10`?"),
        ("cifar.yaml", "There is no such file. Received: cifar.yaml"),
    ):
        assert main.main(["train", name]) == 1
        message = capsys.readouterr().err
        assert message.startswith("error: ")
        assert match in message
    assert not list(tmp_path.iterdir())


def test_help_lists_every_configuration(capsys):
    with pytest.raises(SystemExit):
        main.main(["train", "--help"])
    text = capsys.readouterr().out
    for path in configs.CONFIGS.glob("*.yaml"):
        assert re.search(rf"\b{path.stem}\b", text.partition("CONFIG is")[2])


def test_stages_of_the_help_are_those_there_are():
    (listed,) = re.findall("The stages are: (.*?)\\. Each", FLAT_HELP)
    names = re.sub(r"\(.*?\)", "", listed).replace(" ", "").split(",")
    assert tuple(names) == stages.NAMES


def test_without_yaml_the_line_that_installs_it_is_named(monkeypatch, capsys):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *args: None if name == "yaml" else found(name, *args),
    )
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert main.main(["train", "folder"]) == 1
    message = capsys.readouterr().err
    assert 'PyYAML: pip install "keras-drift[examples]"' in message


def test_the_script_of_the_examples_is_the_command():
    root = pathlib.Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, root / "examples/train_images.py", "cifar"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
    )
    assert result.returncode == 1
    assert "Did you mean `cifar10`?" in result.stderr
