"""Trains a model on the devices of this process, see `data_parallel_test`."""

import json

import keras
import numpy as np

import keras_drift as kd


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


def keeps_what_is_set():
    """Whether a distribution of one device stays the current one."""
    mine = keras.distribution.DataParallel(devices=["cpu:0"])
    with mine.scope(), kd.distribution.data_parallel():
        return keras.distribution.distribution() is mine


if __name__ == "__main__":
    print(json.dumps([*trained(), keeps_what_is_set()]))
