"""What two processes of JAX say to a data set: see `process_shares_test`."""

import json
import sys

import jax
import keras
import numpy as np

import keras_drift as kd


def message(data):
    """The error of `fit`, or `""`."""
    keras.utils.set_random_seed(0)
    model = kd.DriftModel(kd.generators.MLP(2, hidden_dims=(4,)), seed=0)
    model.compile("sgd")
    try:
        model.fit(data, verbose=0)
    except ValueError as error:
        return str(error)
    return ""


def main():
    _, index, count, address = sys.argv[1].split()
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(address, int(count), int(index))
    keras.distribution.set_distribution(
        keras.distribution.DataParallel(auto_shard_dataset=False)
    )
    samples = np.random.default_rng(0).normal(size=(16, 2)).astype("float32")
    own = kd.datasets.ArrayDataset(samples, batch_size=8, seed=int(index))
    print(json.dumps([message(samples), message(own)]))


if __name__ == "__main__":
    main()
