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
def test_the_same_samples_in_two_processes_are_refused():
    for same, own in on_devices.results_of_processes(SCRIPT, devices=2):
        assert "1 different first batches in 2 processes" in same
        assert own == ""


def test_one_process_is_given_anything():
    process_shares.check(datasets.ArrayDataset([[0.0], [1.0]]))
    process_shares.check(iter(()))
