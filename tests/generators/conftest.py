"""Networks small enough to build dozens of."""

import numpy as np
import pytest

from keras_drift import generators
from small_models import weights_from_numpy

# One set of sizes for most tests: JAX compiles each operation once per shape.
TINY = {
    "image_shape": (4, 6, 1),
    "num_classes": 3,
    "hidden_dim": 8,
    "depth": 1,
    "num_heads": 2,
    "num_context_tokens": 2,
    "num_style_tokens": 2,
    "style_codebook_size": 4,
}


@pytest.fixture(autouse=True, scope="module")
def _weights_from_numpy():
    with weights_from_numpy():
        yield


@pytest.fixture
def tiny_dit():
    """Makes a fresh, tiny DiT that has all kinds of inputs."""
    return lambda **changes: generators.DiT(**(TINY | changes))


@pytest.fixture
def randomized():
    """Moves all weights of a network, so that none is neutral."""

    def randomized(network):
        rng = np.random.default_rng(0)
        for variable in network.variables:
            noise = rng.normal(scale=0.3, size=variable.shape)
            variable.assign(variable + noise.astype("float32"))
        return network

    return randomized
