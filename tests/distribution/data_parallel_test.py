"""A model made on all devices trains as on one."""

import json
import pathlib
import sys

import keras
import numpy as np
import pytest

import keras_drift as kd
import on_devices

ON_JAX = keras.backend.backend() == "jax"


def trained():
    """The devices of a model, and its losses."""
    data = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
    with kd.distribution.data_parallel():
        keras.utils.set_random_seed(0)
        model = kd.DriftModel(kd.generators.MLP(2, hidden_dims=(8,)), seed=0)
        model.compile(keras.optimizers.Adam(0.01))
        plan = model.preflight(data, batch_size=32)
        history = model.fit(data, batch_size=32, epochs=2, verbose=0).history
    return plan.devices, history["loss"]


@pytest.mark.skipif(not ON_JAX, reason="one process has virtual devices")
def test_several_devices_train_as_one():
    script = pathlib.Path(__file__)
    devices, losses = on_devices.results_of(script, devices=4)
    assert devices == 4
    alone, expected = on_devices.results_of(script, devices=1)
    assert alone == 1
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


def test_one_device_is_left_as_it_is():
    assert trained()[0] == 1
    assert keras.distribution.distribution() is None


@pytest.mark.skipif(not ON_JAX, reason="`keras.distribution` is JAX's")
def test_a_distribution_that_is_set_is_kept():
    mine = keras.distribution.DataParallel(devices=["cpu:0"])
    with mine.scope(), kd.distribution.data_parallel():
        assert keras.distribution.distribution() is mine


if __name__ == "__main__":
    json.dump(trained(), sys.stdout)
