import numpy as np
import pytest

from keras_drift import datasets


@pytest.fixture(scope="module")
def points():
    return datasets.eight_gaussians(64, seed=0)


@pytest.fixture(scope="module")
def classes():
    """Sixty labeled points of three classes."""
    rng = np.random.default_rng(0)
    samples = rng.uniform(-1, 1, (60, 2)).astype("float32")
    return samples, np.arange(60, dtype="int32") % 3
