"""The training command in several processes, each as a launcher starts it."""

import json
import os
import pathlib
import re
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from PIL import Image

import keras_drift
import launchers
from keras_drift.training import state_file
from keras_drift_cli.image_training import processes

BACKEND = keras.backend.backend()
ROOT = pathlib.Path(__file__).parents[3]
CONFIG = """
description: pixels
seed: 0
data: {source: drawn, image_size: 16, held_out: 0.25}
generator:
  {patch_size: 4, hidden_dim: 8, depth: 1, num_context_tokens: 0,
   num_style_tokens: 0}
training:
  {steps: 6, steps_per_epoch: 2, groups: 4, positives: 8, generated: 8,
   unconditional: 2, warmup_steps: 1, report_samples: 16, learning_rate: 0.01,
   ema: 0.5}
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
     batch_size: 8, warmup_steps: 1}
"""


def start(run, *arguments, count=2, devices=2):
    """Starts the processes of a run, with the variables of a launcher.

    Args:
        run: path of the folder of the run.
        *arguments: of the command, in which `RANK` stands for the index of the
            process. The configuration is beside the folder.
        count: int, the number of processes.
        devices: int, the virtual devices of each one on JAX.
    """
    flags = f"--xla_force_host_platform_device_count={devices}"
    config = run.parent / "tiny.yaml"
    if not config.exists():
        config.write_text(CONFIG)
    return [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "keras_drift_cli", "train"),
                *(config, f"--run={run}"),
                *(each.replace("RANK", str(rank)) for each in arguments),
            ],
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}",
                **of_rank,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, of_rank in enumerate(launchers.variables(count))
    ]


def outcomes(started, timeout=900):
    """`(exit status, output, errors)` of each process.

    Without the lines that the library of the collectives prints on CPUs.
    """
    try:
        found = [process.communicate(timeout=timeout) for process in started]
    finally:
        for process in started:
            process.kill()
    return [
        (process.returncode, re.sub(r"\[Gloo\].*\n", "", output), errors)
        for process, (output, errors) in zip(started, found, strict=True)
    ]


def trained(run, *arguments, **options):
    """What the processes of a run have printed, if none has failed."""
    found = outcomes(start(run, *arguments, **options))
    for status, _, errors in found:
        assert status == 0, errors
    return [output for _, output, _ in found]


def files(run):
    """The files of a run; the names of some hold times or checksums."""
    paths = (path.relative_to(run) for path in run.rglob("*"))
    shown = {str(p) for p in paths if "events.out" not in p.name}
    return {name for name in shown if "/reference_" not in name}


def weights(run):
    model = keras_drift.DriftModel.from_preset(run / "generator")
    return [np.asarray(w) for w in model.generator.get_weights()]


def losses(run):
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if line["stage"] == "generator"]


def assert_close(run, other):
    np.testing.assert_allclose(losses(run), losses(other), rtol=1e-4)
    for one, two in zip(weights(run), weights(other), strict=True):
        scale = np.max(np.abs(one))
        np.testing.assert_allclose(one, two, atol=1e-4 * scale, rtol=1e-4)


def test_the_failure_of_the_first_process_ends_the_others(tmp_path):
    began = time.monotonic()
    started = start(tmp_path / "run", "--set=data.source=mnist", "--data=none")
    (first, printed, error), (other, silence, message) = outcomes(started, 300)
    assert first == other == 1
    assert "No such file or directory: 'none'" in error
    assert "== data" in printed
    assert silence == ""
    assert "The first process of this run has failed" in message
    assert "process 1 of 2" in message
    assert time.monotonic() - began < 120


def test_a_folder_that_hosts_do_not_share_is_refused(tmp_path):
    started = start(tmp_path / "run", f"--run={tmp_path}/host_RANK")
    for status, _, error in outcomes(started, 300):
        assert status == 1
        assert "1 of 2 processes do not find" in error
    assert not (tmp_path / "host_1").exists()


def test_groups_that_processes_do_not_divide_are_refused(tmp_path):
    started = start(tmp_path / "run", "--set=training.groups=3")
    (first, _, error), (other, _, message) = outcomes(started, 300)
    assert first == other == 1
    assert "batches of 3 groups, 2 processes" in error
    assert "The first process of this run has failed" in message
    assert not (tmp_path / "run" / "stages.json").exists()


def test_processes_divide_the_groups(monkeypatch):
    processes.check_groups(3)  # one process divides any number
    monkeypatch.setattr(processes.backend, "num_processes", lambda: 2)
    processes.check_groups(4)
    monkeypatch.setattr(processes.backend, "gives_shares", lambda: False)
    processes.check_groups(1)  # whose samples they divide
    with pytest.raises(ValueError, match="batches of 3 groups, 2 processes"):
        processes.check_groups(3)
    monkeypatch.setattr(processes.backend, "gives_shares", lambda: True)
    with pytest.raises(ValueError, match="batches of 1 groups, 2 processes"):
        processes.check_groups(1)


@pytest.mark.slow
def test_several_processes_train_as_one(tmp_path):
    alone, together = tmp_path / "alone", tmp_path / "together"
    trained(alone, count=1, devices=1)
    printed, silence = trained(together)
    assert silence == ""
    assert printed.count("Epoch 3/3") == 1
    assert files(together) == files(alone)
    assert_close(together, alone)
    stages = json.loads((together / "stages.json").read_text())
    assert [*stages] == ["data", "generator", "evaluate", "preset"]
    # Started again, they find everything complete.
    printed, _ = trained(together)
    assert printed.count("complete") == 4


@pytest.mark.slow
def test_the_first_process_makes_latents_and_encoder(tmp_path):
    (tmp_path / "tiny.yaml").write_text(CONFIG + LATENTS)
    run = tmp_path / "run"
    printed, _ = trained(run)
    assert printed.count("reference image") == 1
    made = {"latents/manifest.json", "pca/config.json", "encoder/config.json"}
    assert made <= files(run)
    model = keras_drift.DriftModel.from_preset(run / "preset")
    assert model.generate(labels=[3], seed=0).shape == (1, 16, 16, 3)


@pytest.mark.slow
def test_processes_train_on_a_stream_of_images(tmp_path):
    rng = np.random.default_rng(0)
    for index in range(64):
        folder = tmp_path / ("validation" if index < 16 else "training")
        path = folder / str(index % 4) / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(256, size=(16, 16, 3)).astype("uint8")
        Image.fromarray(pixels).save(path)
    stream = (
        "--until=generator",
        f"--data={tmp_path / 'training'}",
        f"--validation={tmp_path / 'validation'}",
        "--set=data.source=folder",
        "--set=data.workers=0",
        "--set=training.banks={per_class: 16, overall: 32, push_per_step: 8}",
    )
    run = tmp_path / "run"
    trained(run, *stream)
    assert len(losses(run)) == 3
    if BACKEND == "jax":
        # Each has a stream, and banks, of its own.
        first, second = (
            state_file.read(run / f"checkpoints/epoch_000003/process_{i}.npz")
            for i in range(2)
        )
        assert first["data"]["stream"] != second["data"]["stream"]
        return
    trained(tmp_path / "alone", *stream, count=1)
    assert_close(run, tmp_path / "alone")


LONG = "--set=training.steps=60", "--until=generator"


@pytest.mark.slow
def test_a_killed_run_goes_on_by_the_same_command(tmp_path):
    at_once, killed = tmp_path / "at_once", tmp_path / "killed"
    trained(at_once, *LONG)
    first, second = start(killed, *LONG)
    while not (killed / "checkpoints/epoch_000002.npz").exists():
        assert first.poll() is None
        time.sleep(0.01)
    second.kill()
    second.communicate()
    began = time.monotonic()
    ((status, _, error),) = outcomes([first], timeout=300)
    assert status != 0
    assert time.monotonic() - began < 60
    if BACKEND == "torch":
        assert "Another process of this training run has ended" in error
    printed, _ = trained(killed, *LONG)
    assert "Goes on after step" in printed
    assert losses(killed) == losses(at_once)
    for one, two in zip(weights(killed), weights(at_once), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.skipif(BACKEND != "jax", reason="a process has many devices")
@pytest.mark.slow
def test_the_devices_of_a_process_train_as_one(tmp_path):
    runs = [tmp_path / "one", tmp_path / "eight"]
    for run, devices in zip(runs, (1, 8), strict=True):
        (printed,) = trained(run, "--until=generator", count=1, devices=devices)
    assert "DataParallel of jax on a mesh of batch=8" in printed
    assert_close(*runs)


# A strategy that is set is kept; on this machine, none of GPUs can be.
REPLICAS = """
import sys
import tensorflow as tf

(cpu,) = tf.config.list_physical_devices("CPU")
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
from keras_drift_cli import main

with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    sys.exit(main.main(["train", *sys.argv[1:], "--until=generator"]))
"""


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of `tf.distribute`")
@pytest.mark.slow
def test_replicas_of_a_strategy_train_as_one(tmp_path):
    script = tmp_path / "replicas.py"
    script.write_text(REPLICAS)
    trained(tmp_path / "one", "--until=generator", count=1)
    found = subprocess.run(
        [
            *(sys.executable, script, tmp_path / "tiny.yaml"),
            f"--run={tmp_path / 'two'}",
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert found.returncode == 0, found.stderr
    assert "MirroredStrategy of tensorflow" in found.stdout
    assert_close(tmp_path / "two", tmp_path / "one")


@pytest.mark.skipif(BACKEND == "torch", reason="it joins those of `torchrun`")
def test_processes_of_another_backend_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match=r"processes of PyTorch.*WORLD_SIZE=2"):
        processes.join()


def test_a_lone_worker_of_tensorflow_joins_nobody(monkeypatch):
    if BACKEND == "tensorflow":
        monkeypatch.setenv("TF_CONFIG", "{bad")
        with pytest.raises(ValueError, match=r"Received: TF_CONFIG='\{bad'"):
            processes.join()
    cluster = {"worker": ["host:1"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster}))
    processes.join()
    assert processes.backend.num_processes() == 1


@pytest.mark.parametrize(
    "name", ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"]
)
def test_processes_that_nobody_has_joined_are_refused(monkeypatch, name):
    monkeypatch.setenv(name, "4")
    with pytest.raises(
        ValueError, match=f"4 processes, by the variable {name}"
    ):
        processes.join()
    monkeypatch.setenv(name, "four")
    with pytest.raises(ValueError, match=f"Received: {name}='four'"):
        processes.join()
    monkeypatch.setenv(name, "1")
    processes.join()


def test_ctrl_c_waits_for_nobody(monkeypatch):
    """It reaches all processes; a barrier would keep the others waiting."""

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(processes.backend, "wait_for_all", pytest.fail)
    with pytest.raises(KeyboardInterrupt):
        processes.by_first(interrupted)()


def test_a_lone_process_does_what_the_first_one_does():
    assert processes.is_first()
    assert processes.share() == (0, 1)
    assert processes.by_first(max)(1, 2) == 2
    with pytest.raises(TypeError):
        processes.by_first(max)(1, None)
