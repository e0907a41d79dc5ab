"""A model made on all devices trains as on one."""

import pathlib

import keras
import numpy as np
import pytest

import keras_drift as kd
import on_devices
from keras_drift import backend

SCRIPT = pathlib.Path(__file__).with_name("data_parallel_case.py")
ON_JAX = keras.backend.backend() == "jax"


@pytest.mark.skipif(not ON_JAX, reason="one process has virtual devices")
def test_several_devices_train_as_one():
    devices, losses, keeps = on_devices.results_of(SCRIPT, devices=4)
    assert devices == 4
    assert keeps
    alone, expected, _ = on_devices.results_of(SCRIPT, devices=1)
    assert alone == 1
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


def test_one_device_is_left_as_it_is():
    with kd.distribution.data_parallel():
        model = kd.DriftModel(kd.generators.MLP(2, hidden_dims=(4,)), seed=0)
        model.compile("sgd")
        assert backend.num_devices() == 1
        assert backend.replicas_of(model) == 1
    assert keras.distribution.distribution() is None
