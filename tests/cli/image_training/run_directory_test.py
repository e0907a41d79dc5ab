import json

import pytest

from keras_drift_cli.image_training import config as configs
from keras_drift_cli.image_training.run_directory import RunDirectory


def test_stages_are_remembered(tmp_path):
    run = RunDirectory(tmp_path / "run", configs.Config())
    assert not run.is_complete("data")
    run.complete("data", num_images=3)
    again = RunDirectory(tmp_path / "run", configs.Config())
    assert again.is_complete("data")
    assert again.found("data") == {"num_images": 3}
    assert again.found("encoder") == {}


def test_a_resumed_run_keeps_its_name_at_wandb(tmp_path):
    first = RunDirectory(tmp_path / "a", configs.Config()).wandb_id()
    assert RunDirectory(tmp_path / "a", configs.Config()).wandb_id() == first
    assert RunDirectory(tmp_path / "b", configs.Config()).wandb_id() != first


def test_a_run_of_another_configuration_is_refused_by_name(tmp_path):
    RunDirectory(tmp_path, configs.Config(seed=1)).complete("data")
    with pytest.raises(ValueError, match="seed is 1 there and 2 here"):
        RunDirectory(tmp_path, configs.Config(seed=2))


def test_a_run_without_a_complete_stage_is_begun_again(tmp_path):
    """Such as one whose images were not found: the next command has others."""
    RunDirectory(tmp_path, configs.Config())
    (tmp_path / "unpacked").mkdir()
    data = configs.Data(path="images")
    run = RunDirectory(tmp_path, configs.Config(data=data))
    assert not (run / "unpacked").exists()
    assert "path: images" in (run / "config.yaml").read_text()


@pytest.mark.parametrize("name", ["checkpoints", "latents", "encoder_backup"])
def test_what_another_configuration_has_begun_is_not_resumed(tmp_path, name):
    """With `--skip data` no stage is complete, and training resumed from it."""
    RunDirectory(tmp_path, configs.Config(seed=0))
    (tmp_path / name).mkdir()
    RunDirectory(tmp_path, configs.Config(seed=1))  # of which there is nothing
    (tmp_path / name / "file").write_bytes(b"")
    with pytest.raises(ValueError, match="seed is 1 there and 2 here"):
        RunDirectory(tmp_path, configs.Config(seed=2))
    assert (tmp_path / name).exists()


def test_a_folder_of_other_files_is_refused(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match="a folder of its own"):
        RunDirectory(tmp_path, configs.Config())


def test_holds_the_environment_and_a_line_for_every_report(tmp_path):
    run = RunDirectory(tmp_path, configs.Config())
    run.log(stage="generator", step=1, loss=2.5)
    run.log(stage="generator", step=2, loss=2.0)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["backend"] in ("jax", "tensorflow", "torch")


def logged(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    found = map(json.loads, lines)
    return [(line["stage"], line.get("step")) for line in found]


def test_a_stage_that_goes_on_replaces_its_later_lines(tmp_path):
    run = RunDirectory(tmp_path, configs.Config())
    run.continue_log("generator", 4)  # without a file
    for step in (2, 4, 6):
        run.log(stage="generator", step=step)
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"stage": "generator", "st')  # killed
    run.continue_log("generator", 4)
    run.log(stage="generator", step=6)
    assert logged(tmp_path) == [("generator", step) for step in (2, 4, 6)]
    run.log(stage="evaluate", fid=3.0)
    run.continue_log("evaluate")  # lines without a step are those of all of it
    run.log(stage="evaluate", fid=2.0)
    assert logged(tmp_path)[-2:] == [("generator", 6), ("evaluate", None)]


def test_lines_of_a_stage_that_is_done_again_stay(tmp_path):
    run = RunDirectory(tmp_path, configs.Config())
    run.log(stage="generator", step=2)
    run.log(stage="redo", stages=["generator"])
    run.continue_log("generator", 0)
    run.log(stage="generator", step=2)
    assert logged(tmp_path) == [
        ("generator", 2),
        ("redo", None),
        ("generator", 2),
    ]
