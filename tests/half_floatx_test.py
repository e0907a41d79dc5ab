"""Training under `keras.config.set_floatx` of half precision."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_drift import DriftModel
from keras_drift import datasets
from keras_drift import metrics
from small_models import small_mlp

DATA = datasets.eight_gaussians(64, seed=0)


@pytest.fixture(params=["float16", "bfloat16"])
def floatx(request):
    before, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(request.param)
    yield request.param
    keras.config.set_floatx(before)
    keras.config.set_dtype_policy(policy)


@pytest.mark.usefixtures("floatx")
def test_logged_losses_are_float32():
    # A mean in half precision no longer follows its values after some steps.
    model = DriftModel(small_mlp(dtype="float32"), seed=0)
    for _ in range(2):  # compiled again as well
        model.compile(keras.optimizers.SGD(0.0))
    tracker = next(m for m in model.metrics if m.name == "loss")
    assert [m.name for m in model.metrics].count("loss") == 1
    for _ in range(2000):
        tracker.update_state(0.3)
    assert float(tracker.result()) == pytest.approx(0.3, rel=1e-3)


@pytest.mark.usefixtures("floatx")
def test_floors_take_every_sample():
    seen = []

    def distance(x, y):
        seen.append(ops.convert_to_numpy(ops.concatenate([x, y])))
        return ops.mean(x)

    metrics.floor(distance, np.arange(600.0, dtype="float32")[:, None])
    for samples in seen:
        assert len(np.unique(samples)) == 600


@pytest.mark.usefixtures("floatx")
def test_trains():
    model = DriftModel(small_mlp(), seed=0)
    model.compile("sgd")
    history = model.fit(DATA, batch_size=32, verbose=0).history
    assert all(np.isfinite(float(values[0])) for values in history.values())
