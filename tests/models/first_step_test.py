"""One training step, the same on every backend.

The reference in `data/first_step.npz` is what this file computes when run by
itself on the backend of the moment (JAX for the file here):

    KERAS_BACKEND=jax python tests/models/first_step_test.py
"""

import pathlib

import keras
import numpy as np
import pytest

from keras_drift import DriftModel
from keras_drift import drifts
from keras_drift import generators
from keras_drift import kernels

REFERENCE = pathlib.Path(__file__).parent / "data" / "first_step.npz"
GROUPS, COUNT = 3, 6


class FixedNoise(DriftModel):
    """Uses the same inputs on every backend instead of random numbers."""

    def draw_inputs(self, data, groups, count, scales):
        inputs = self.generator.sample_inputs(GROUPS * COUNT, seed=5)
        labels = np.arange(GROUPS, dtype="int32").repeat(COUNT)
        inputs["labels"] = labels
        return {k: keras.ops.convert_to_tensor(v) for k, v in inputs.items()}


def first_step(normalization):
    """Loss and gradients of one step of gradient descent."""
    rng = np.random.default_rng(0)
    generator = generators.DiT(
        (4, 4, 1), num_classes=3, hidden_dim=16, depth=2, cond_dim=8
    )
    generator.set_weights(
        [
            rng.normal(scale=0.3, size=w.shape).astype("float32")
            for w in generator.get_weights()
        ]
    )
    drift = drifts.KernelDrift(
        kernels.Laplacian([0.1, 0.5]), normalization, relative=True
    )
    model = FixedNoise(generator, drift)
    model.compile(keras.optimizers.SGD(1.0))
    data = rng.normal(size=(GROUPS, 7, 4, 4, 1)).astype("float32")
    model.num_generated = COUNT
    before = generator.get_weights()
    labels = np.arange(GROUPS, dtype="int32")
    logs = model.train_on_batch(data, labels, return_dict=True)
    after = generator.get_weights()
    results = {"loss": float(logs["loss"])}
    results["drift_norm"] = float(logs["drift_norm"])
    for i, (old, new) in enumerate(zip(before, after, strict=True)):
        results[f"gradient_{i}"] = old - new
    return {f"{normalization}/{k}": v for k, v in results.items()}


@pytest.mark.parametrize("normalization", ["row", "dual"])
def test_first_step_agrees_with_the_reference(normalization):
    reference = np.load(REFERENCE)
    for name, value in first_step(normalization).items():
        expected = reference[name]
        error = np.abs(value - expected).max()
        # The resolution of a difference of two float32 weights.
        rounding = 4e-7
        assert error <= 1e-4 * np.abs(expected).max() + rounding, name


if __name__ == "__main__":
    REFERENCE.parent.mkdir(exist_ok=True)
    np.savez(REFERENCE, **first_step("row"), **first_step("dual"))
