"""Two processes that are given the same samples, and their own."""

import pathlib

import keras
import pytest

import on_devices
import user_line
from keras_drift import backend
from keras_drift import datasets
from keras_drift.training import process_shares

SCRIPT = pathlib.Path(__file__).with_name("process_shares_cases.py")


@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="processes of JAX give shares"
)
def test_processes_have_samples_of_their_own_also_when_they_resume(tmp_path):
    results = on_devices.results_of_processes(SCRIPT, str(tmp_path), devices=2)
    for index, result in enumerate(results):
        (alone,), same, own, longer, runs, evaluated = result
        assert "each of them trains alone: make" in alone
        assert "1 different first batches in 2 processes" in same
        assert own == ""
        assert "[(1, 0, 2, 2), (2, 0, 2, 2)]" in longer
        assert runs == [[[0, 1], index], [[2], index]]
        other_lengths, odd_lengths = evaluated
        assert "size of the last one, [(4, 2, 4), (4, 1, 4)]" in other_lengths
        assert odd_lengths == ""
    assert [path.name for path in tmp_path.iterdir()] == ["epoch_000003.npz"]


def test_one_process_is_given_anything():
    process_shares.check(datasets.ArrayDataset([[0.0], [1.0]]))
    process_shares.check(iter(()))


def test_shares_of_one_class_are_refused(monkeypatch):
    monkeypatch.setattr(backend, "num_processes", lambda: 2)
    samples, labels = [[0.0]] * 8, [0] * 8
    options = {"positives": 4, "groups_per_batch": 1, "share": (0, 2)}
    with pytest.raises(ValueError, match=r"whole groups.*share=\(0, 2\)"):
        process_shares.check(
            datasets.GroupedDataset(samples, labels, **options)
        )
    # Without a class, both give samples of one group.
    whole = {**options, "share": (0, 1)}
    monkeypatch.setattr(backend, "of_all_processes", lambda number: [number])
    process_shares.check(datasets.GroupedDataset(samples, None, **options))
    process_shares.check(datasets.GroupedDataset(samples, labels, **whole))


class Position:
    """A data source that goes on from its own position only."""

    def __init__(self):
        self.state = None

    def set_state(self, state):
        self.state = state


def test_a_state_of_another_process_is_not_taken_for_its_own():
    data = datasets.ArrayDataset([[0.0], [1.0]], batch_size=1, seed=5)
    state = {"seed": 3, "epoch": 7, "checksum": "of other samples"}
    process_shares.restore(data, state, is_own=False)
    assert (data.seed, data.epoch) == (5, 7)
    stream = Position()
    with user_line.warns("begin anew.*of type Position"):
        process_shares.restore(stream, {"row": 2}, is_own=False)
    assert stream.state is None


def test_a_file_of_one_process_is_that_of_no_process_of_several(monkeypatch):
    monkeypatch.setattr(backend, "gives_shares", lambda: True)
    data = datasets.ArrayDataset([[0.0], [1.0]], batch_size=1, seed=5)
    process_shares.restore(data, {"seed": 3, "epoch": 7})
    assert (data.seed, data.epoch) == (5, 7)
    stream = Position()
    with user_line.warns("begin anew.*of type Position"):
        process_shares.restore(stream, {"row": 2})
    assert stream.state is None


@pytest.mark.parametrize("is_own", [True, None])
def test_its_own_state_is_taken_as_it_is(is_own):
    data, stream = datasets.ArrayDataset([[0.0]], batch_size=1), Position()
    process_shares.restore(data, {"seed": 3, "epoch": 7}, is_own)
    assert (data.seed, data.epoch) == (3, 7)
    process_shares.restore(stream, {"row": 2}, is_own)
    assert stream.state == {"row": 2}
