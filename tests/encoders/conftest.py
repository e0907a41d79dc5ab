"""Networks small enough to build dozens of."""

import keras
import numpy as np
import pytest


@pytest.fixture(autouse=True, scope="module")
def _weights_from_numpy():
    """JAX compiles the drawing of weights once per shape; NumPy does not."""
    rng = np.random.default_rng(0)

    def draw(self, shape, dtype=None, **kwargs):
        scale = 1 / np.sqrt(max(1, np.prod(shape[:-1])))
        return rng.normal(scale=scale, size=shape).astype(dtype)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.initializers.VarianceScaling, "__call__", draw)
        yield
