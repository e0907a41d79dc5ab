"""Training on two virtual devices, in a separate process."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

BACKEND = keras.backend.backend()

COMMON = """
import json, sys
import numpy as np
import keras
import keras_drift as kd

def run(shardings=None):
    '''Losses of a few kinds of batches.'''
    class Watching(kd.DriftModel):
        def draw_inputs(self, *args):
            inputs = super().draw_inputs(*args)
            if shardings is not None:
                import jax
                jax.debug.inspect_array_sharding(
                    inputs["noise"], callback=lambda s: shardings.append(str(s))
                )
            return inputs

    rng = np.random.default_rng(0)
    losses = {}
    for name, shape, options in (
        ("arrays that do not divide", (33, 2), {"batch_size": 15}),
        ("one group", (1, 32, 2), {"validation_data": np.ones((9, 2))}),
        ("three groups", (3, 8, 2), {}),
        ("fewer groups at the end", (3, 4, 2), {"batch_size": 2}),
    ):
        keras.utils.set_random_seed(0)
        model = Watching(kd.generators.MLP(2, hidden_dims=(8,)), seed=0)
        model.compile(keras.optimizers.SGD(0.1))
        data = rng.normal(size=shape).astype("float32")
        history = model.fit(
            data, shuffle=False, verbose=0, **options
        ).history
        losses[name] = history["loss"] + history.get("val_loss", [])
        losses[name].append(float(np.sum(model.generate(3, seed=0))))
    return losses
"""

JAX = (
    COMMON
    + """
import jax
assert len(jax.devices()) == 2
alone = run()
keras.distribution.set_distribution(keras.distribution.DataParallel())
shardings = []
together = run(shardings)

model = kd.DriftModel(kd.generators.MLP(2), field_scope="local", seed=0)
model.compile("adam")
try:
    model.fit(np.zeros((32, 2), "float32"), verbose=0)
    refused = ""
except ValueError as error:
    refused = str(error)
print(json.dumps([alone, together, shardings, refused]))
"""
)


def in_a_process_of_its_own(script):
    flags = os.environ.get("XLA_FLAGS", "")
    flags += " --xla_force_host_platform_device_count=2"
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "XLA_FLAGS": flags, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.skipif(BACKEND != "jax", reason="`keras.distribution` is JAX's")
def test_trains_on_two_devices_with_any_batch_size():
    alone, together, shardings, refused = in_a_process_of_its_own(JAX)
    for name, expected in alone.items():
        np.testing.assert_allclose(
            together[name], expected, rtol=1e-4, err_msg=name
        )
    # No device generates the samples of the other.
    assert any("batch" in sharding for sharding in shardings)
    # One program knows no field of one device alone.
    assert "field_scope='local', 2 devices" in refused
