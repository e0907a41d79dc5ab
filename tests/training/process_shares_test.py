"""Two processes that are given the same samples, and their own."""

import pathlib

import keras
import pytest

import on_devices
from keras_drift import datasets
from keras_drift.training import process_shares

SCRIPT = pathlib.Path(__file__).with_name("process_shares_cases.py")


@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="processes of JAX give shares"
)
def test_processes_have_samples_of_their_own_also_when_they_resume(tmp_path):
    results = on_devices.results_of_processes(SCRIPT, str(tmp_path), devices=2)
    for index, (same, own, runs) in enumerate(results):
        assert "1 different first batches in 2 processes" in same
        assert own == ""
        assert runs == [[[0, 1], index], [[2], index]]
    assert [path.name for path in tmp_path.iterdir()] == ["epoch_000003.npz"]


def test_one_process_is_given_anything():
    process_shares.check(datasets.ArrayDataset([[0.0], [1.0]]))
    process_shares.check(iter(()))
