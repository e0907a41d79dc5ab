"""What two processes of JAX say to a data set: see `process_shares_test`."""

import json
import sys
import warnings

import jax
import keras
import numpy as np

import keras_drift as kd

SAMPLES = np.random.default_rng(0).normal(size=(16, 2)).astype("float32")


def message(data, epochs=1):
    """The error of `fit`, or `""`."""
    keras.utils.set_random_seed(0)
    model = kd.DriftModel(kd.generators.MLP(2, hidden_dims=(4,)), seed=0)
    model.compile("sgd")
    try:
        model.fit(data, epochs=epochs, verbose=0)
    except ValueError as error:
        return str(error)
    return ""


def alone(index):
    """Warnings of a `fit` without a distribution, longer in one process."""
    own = kd.datasets.ArrayDataset(SAMPLES, batch_size=8, seed=index)
    with warnings.catch_warnings(record=True) as caught:
        assert message(own, epochs=1 + index) == ""
    return [str(each.message) for each in caught]


def of_evaluation(index, sizes):
    """The error of `evaluate`, or `""`."""
    model = kd.DriftModel(kd.generators.MLP(2, hidden_dims=(4,)), seed=0)
    model.compile("sgd")
    own = SAMPLES[8 * index :][: sizes[index]]
    try:
        model.evaluate(own, batch_size=4, verbose=0)
    except ValueError as error:
        return str(error)
    return ""


def trained_epochs(folder, index, epochs):
    """The epochs of a run with checkpoints, and the seed of its data."""
    keras.utils.set_random_seed(0)
    model = kd.DriftModel(kd.generators.MLP(2, hidden_dims=(4,)), seed=0)
    model.compile("sgd")
    data = kd.datasets.ArrayDataset(SAMPLES, batch_size=8, seed=index)
    checkpoint = kd.callbacks.TrainingCheckpoint(folder, keep=1)
    history = model.fit(data, epochs=epochs, verbose=0, callbacks=[checkpoint])
    return history.epoch, data.seed


def main():
    _, index, count, address = sys.argv[1].split()
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(address, int(count), int(index))
    alone_warnings = alone(int(index))
    keras.distribution.set_distribution(
        keras.distribution.DataParallel(auto_shard_dataset=False)
    )
    index = int(index)
    own = kd.datasets.ArrayDataset(SAMPLES, batch_size=8, seed=index)
    runs = [trained_epochs(sys.argv[2], index, epochs) for epochs in (2, 3)]
    evaluated = [of_evaluation(index, sizes) for sizes in ((8, 4), (7, 7))]
    messages = message(SAMPLES), message(own), message(own, epochs=1 + index)
    print(json.dumps([alone_warnings, *messages, runs, evaluated]))


if __name__ == "__main__":
    main()
