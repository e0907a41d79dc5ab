"""Two replicas under `fit`, each of which sees half of every batch.

Those of PyTorch are two processes; those of TensorFlow are two devices of one
process, or two processes, its workers.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

import launchers
import user_line
from keras_drift import backend

BACKEND = keras.backend.backend()
HERE = pathlib.Path(__file__).parent
SCRIPT = HERE / "replica_cases.py"
NAMES = (
    "row, one group",
    # TensorFlow compiles each for a minute.
    "dual, grouped, guided",
    "sinkhorn, independent negatives",
    "row, independent negatives",
    "row, grouped, guided",
    "dual, one group",
    "sinkhorn, grouped, guided",
    "sliced, one group",
    "sliced, grouped",
    "sum, one group",
    "sum, grouped",
    "variational",
    "adaptive",
    "dual, one class, guided",
)
HOW = ("devices", "processes") if BACKEND == "tensorflow" else ("processes",)
NUM_FAST = 1 if BACKEND == "tensorflow" else 3
FAST, SLOW = NAMES[:NUM_FAST], NAMES[NUM_FAST:]

pytestmark = pytest.mark.skipif(
    BACKEND == "jax", reason="on JAX, one program sees the whole batch"
)


def start(script, *args, how="processes"):
    """Starts the script: as two processes, or one with two devices."""
    of_ranks = launchers.variables(2) if how == "processes" else [{}]
    return [
        subprocess.Popen(
            [sys.executable, str(script), *map(str, args)],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
                "RANK": str(rank),
                **of_rank,
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, of_rank in enumerate(of_ranks)
    ]


def trained(folder, names, how):
    """What the processes have written."""
    processes = start(SCRIPT, folder / "results", *names, how=how)
    try:
        for process in processes:
            _, errors = process.communicate(timeout=1200)
            assert process.returncode == 0, errors
    finally:
        for process in processes:
            process.kill()
    return [
        json.loads((folder / f"results.{rank}").read_text())
        for rank in range(len(processes))
    ]


@pytest.fixture(scope="module", params=HOW)
def fast(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fast")
    return trained(folder, [*FAST, "--more"], request.param)


def assert_two_are_one(results, name):
    for alone, together, *_ in results:
        for key, expected in alone[name].items():
            np.testing.assert_allclose(
                together[name][key],
                expected,
                rtol=1e-4,
                atol=1e-4 * np.max(np.abs(expected)),
                err_msg=f"{name}: {key}",
            )
    # Replicas have one model, to the last bit.
    assert results[0][1][name] == results[-1][1][name]


@pytest.mark.parametrize("name", FAST)
def test_two_replicas_train_as_one(fast, name):
    assert_two_are_one(fast, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize("how", HOW)
def test_two_replicas_train_as_one_with_every_drift(tmp_path, name, how):
    if BACKEND == "tensorflow" and "one class" in name:
        pytest.skip("a strategy divides the first axis, that of groups")
    assert_two_are_one(trained(tmp_path, [name], how), name)


def test_a_local_field_is_that_of_each_replica_alone(fast):
    for _, _, scopes, _ in fast:
        alone, local, whole = (
            np.array(scopes[key]) for key in ("each alone", "local", "global")
        )
        np.testing.assert_allclose(local, alone, rtol=1e-4, atol=1e-6)
        # The loss, the norm of the drift, and the weights.
        assert np.all(np.abs(local - whole)[:2] > 0.01 * whole[:2])
        assert np.max(np.abs(local - whole)[2:]) > 1e-3


def test_processes_that_begin_unlike_train_and_evaluate_one_model(fast):
    first, last = (results[2]["on batches"] for results in (fast[0], fast[-1]))
    assert first == last


def test_a_state_is_restored_before_the_first_step(fast):
    for _, _, scopes, _ in fast:
        straight, resumed = scopes["resumed"]
        assert resumed == straight


def test_says_how_two_replicas_divide_a_batch(fast):
    what = "processes" if len(fast) > 1 else "MirroredStrategy"
    start = [2, len(fast), f"{what} of {BACKEND}"]
    for _, _, scopes, _ in fast:
        flat, grouped = scopes["plans"]
        # A half of 8 positives and 8 generated samples of 2 numbers.
        assert flat == [*start, 1, 8, 8, "samples", 4, 0, "global", 64]
        # Of 4 groups, each with 2 unconditional samples as well.
        assert grouped == [*start, 4, 4, 4, "groups", 2, 0, "local", 160]


def test_refuses_what_replicas_cannot_divide(fast):
    expected = {
        "batch": "Received: a batch of 7 samples, 2 replicas",
        "groups": "Received: a batch of 3 groups, 2 replicas",
        "num_generated": "Received: a batch of 5 generated samples",
        "gradient": "Received: stop_gradient=False, field_scope='global'",
        "lone": "Received: one generated sample on each of 2 replicas",
    }
    if len(fast) > 1:
        expected["steps"] = "[(1, 0, 1, 1), (2, 0, 1, 1)]"
        expected["data"] = "Received: 2 different first batches in 2 processes"
    if BACKEND == "tensorflow":
        expected["train_on_batch"] = (
            "the whole batch of `train_on_batch`, not its"
        )
        expected["execution"] = "Received: steps_per_execution=2, 2 replicas"
        expected["before"] = "inside of `with strategy.scope():`"
    for *_, messages in fast:
        assert set(messages) == set(expected)
        for name, words in expected.items():
            assert words in messages[name]


KILLED = """
import os, pathlib, signal, sys
import keras, numpy as np
import keras_drift as kd

folder, sent = pathlib.Path(sys.argv[1]), sys.argv[2]
at = 3 if sent == "SIGTERM" else 5
sends = sent != "nothing" and not folder.exists()  # the first time
rank, _ = kd.distribution.initialize()

class Signal(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        if sends and batch == at and rank == 1:
            os.kill(os.getpid(), getattr(signal, sent))

keras.utils.set_random_seed(rank)  # of no influence
with kd.distribution.data_parallel():
    model = kd.DriftModel(kd.generators.MLP(2, hidden_dims=(8,)), seed=0)
    model.compile(keras.optimizers.Adam(1e-2))
data = np.random.default_rng(0).normal(size=(32, 2)).astype("float32")
checkpoint = kd.callbacks.TrainingCheckpoint(folder, save_freq=4)
history = model.fit(
    data,
    batch_size=8,
    steps_per_epoch=7,
    epochs=2,
    verbose=0,
    callbacks=[Signal(), checkpoint],
)
weights = model.generator.get_weights()
np.savez(f"{folder}.{rank}.npz", *weights, loss=history.history["loss"])
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "killed.py"
    path.write_text(KILLED)
    return path


def killed_second(script, folder, timeout):
    """Kills one of two processes; what the other one says within seconds."""
    left, killed = start(script, folder, "SIGKILL")
    try:
        killed.communicate(timeout=600)
        assert killed.returncode < 0
        _, errors = left.communicate(timeout=timeout)
    finally:
        left.kill()
        killed.kill()
    assert left.returncode == 1
    return errors


def test_a_process_that_is_left_alone_says_so(script, tmp_path):
    errors = killed_second(script, tmp_path / "run", timeout=60)
    if BACKEND == "tensorflow":
        assert "The tasks have crashed." in errors
        return
    assert "Another process of this training run has ended" in errors
    assert "Received: rank 0 of 2" in errors


def run_to_the_end(script, folder, sent, returncode=0):
    """Runs two processes, which both end with this code."""
    processes = start(script, folder, sent)
    try:
        for process in processes:
            _, errors = process.communicate(timeout=600)
            assert process.returncode == returncode, errors
    finally:
        for process in processes:
            process.kill()


def whole_run(script, folder, sent):
    """What both processes of a run have come to."""
    run_to_the_end(script, folder, sent)
    return [dict(np.load(f"{folder}.{rank}.npz")) for rank in range(2)]


def assert_same(results, others):
    for one, other in zip(results, others, strict=True):
        assert set(one) == set(other)
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.slow
def test_the_same_command_goes_on_after_one_of_two_was_killed(script, tmp_path):
    expected = whole_run(script, tmp_path / "at_once", "nothing")
    killed_second(script, tmp_path / "run", timeout=600)
    (saved,) = (tmp_path / "run").iterdir()
    assert saved.name == "epoch_000000_batch_000004.npz"
    found = whole_run(script, tmp_path / "run", "SIGKILL")
    # The history holds the epochs of one call: all, as none was complete.
    assert_same(expected, found)


@pytest.mark.slow
def test_a_signal_to_one_of_two_ends_both(script, tmp_path):
    expected = whole_run(script, tmp_path / "at_once", "nothing")
    run_to_the_end(script, tmp_path / "run", "SIGTERM", -signal.SIGTERM)
    # Seen at the next checkpoint; the epoch ends with the batch after it.
    saved = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert saved == [f"epoch_000000_batch_{n:06}.npz" for n in (4, 5)]
    assert_same(expected, whole_run(script, tmp_path / "run", "SIGTERM"))


@pytest.mark.skipif(BACKEND != "torch", reason="processes of PyTorch")
def test_warns_of_processes_that_train_alone(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with user_line.warns(r"trains alone: call `keras_drift"):
        assert backend.replicas_of(None) == 1


@pytest.mark.skipif(BACKEND != "torch", reason="processes of PyTorch")
def test_keras_averages_gradients_itself_where_it_is_distributed(monkeypatch):
    from keras_drift.backend import torch_replicas

    monkeypatch.setattr(torch_replicas, "num_replicas", lambda: 2)
    optimizer = keras.optimizers.SGD()
    with torch_replicas.averaged_gradients(optimizer):
        assert "apply" in vars(optimizer)
    monkeypatch.setattr(keras.distribution, "distribution", object)
    with torch_replicas.averaged_gradients(optimizer):
        assert "apply" not in vars(optimizer)
