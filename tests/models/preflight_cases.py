"""What eight devices of JAX say before training, see `model_preflight_test`."""

import json

import jax
import keras
import numpy as np

import keras_drift as kd

DATA = np.random.default_rng(0).normal(size=(512, 2)).astype("float32")


def made(**options):
    """A compiled model with averages."""
    keras.utils.set_random_seed(0)
    generator = kd.generators.MLP(2, hidden_dims=(64, 64))
    model = kd.DriftModel(generator, seed=0, **options)
    model.compile(keras.optimizers.Adam(1e-3, use_ema=True))
    return model


def held(variables):
    """The bytes of variables that the first device really holds."""
    first = jax.devices()[0]
    return sum(
        shard.data.nbytes
        for variable in variables
        for shard in variable.value.addressable_shards
        if shard.device == first
    )


def compared(model):
    """The bytes in a preflight, and those on the first device."""
    memory = model.preflight(DATA, batch_size=64).memory
    optimizer = model.optimizer.variables
    return {
        "generator": (memory["generator"], held(model.generator.variables)),
        "gradients": (memory["gradients"], held(model.trainable_variables)),
        "optimizer": (
            memory["optimizer"] + memory["averages"],
            held(optimizer),
        ),
    }


def message(call):
    """The words of a refusal, or `""`."""
    try:
        call()
    except ValueError as error:
        return str(error)
    return ""


def plan(shape, model=None):
    """What is found for batches of a shape."""
    model = made() if model is None else model
    found = model.preflight(np.zeros(shape, "float32"), batch_size=shape[0])
    return [*found[:10], found.memory["samples"], list(found.notes)]


def main():
    before = made()
    unused = before.preflight(DATA).notes
    keras.distribution.set_distribution(keras.distribution.DataParallel())
    plans = {
        "flat": plan((64, 2)),
        "13 groups": plan((13, 40, 2)),
        "3 groups": plan((3, 4, 2), made(num_generated=8)),
    }
    messages = {
        "before": message(lambda: before.preflight(DATA)),
        "before, fit": message(lambda: before.fit(DATA, verbose=0)),
        "few": message(lambda: plan((3, 4, 2))),
        "memory": message(lambda: made().preflight(DATA, device_memory=50_000)),
    }
    whole = compared(made())
    text = str(made().preflight(DATA, batch_size=64, device_memory=1e9))
    mesh = keras.distribution.DeviceMesh(
        (8,), ["batch"], keras.distribution.list_devices()
    )
    layouts = kd.distribution.layout_map(before.generator, mesh)
    keras.distribution.set_distribution(
        keras.distribution.ModelParallel(layout_map=layouts)
    )
    found = [unused, plans, messages, whole, compared(made()), text]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
