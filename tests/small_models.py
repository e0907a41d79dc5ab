"""Models that train in no time, for tests."""

import contextlib

import keras
import numpy as np
import pytest
from keras import ops

from contracts import ON_JAX
from contracts import numpy
from keras_drift import DriftModel
from keras_drift import backend
from keras_drift import drifts
from keras_drift import generators
from keras_drift import kernels


def small_mlp(**options):
    return generators.MLP(2, hidden_dims=(16,), **options)


def class_mlp():
    return small_mlp(num_classes=3)


def gaussian_model(**options):
    drift = drifts.KernelDrift(kernels.Gaussian(0.7))
    return DriftModel(small_mlp(), drift, seed=0, **options)


def image_model():
    """A model of 4x4 images of three classes."""
    return DriftModel(
        generators.DiT((4, 4, 1), 3, patch_size=2, hidden_dim=8, depth=1)
    )


@contextlib.contextmanager
def weights_from_numpy():
    """JAX compiles the drawing of weights once per shape; NumPy does not."""
    rng = np.random.default_rng(0)

    def draw(self, shape, dtype=None, **kwargs):
        scale = 1 / np.sqrt(max(1, np.prod(shape[:-1])))
        return rng.normal(scale=scale, size=shape).astype(dtype)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("VarianceScaling", "RandomNormal"):
            patch.setattr(getattr(keras.initializers, name), "__call__", draw)
        yield


def fitted(model, *data, optimizer="adam", compile_options=None, **options):
    model.compile(optimizer, **(compile_options or {}))
    options = {"batch_size": 32, "epochs": 1, "verbose": 0, **options}
    return model.fit(*data, **options)


def prepared(model, data):
    """The batch that the next step will see; the noise stays unused."""
    state = numpy(model.seed_generator.state)
    data = data if isinstance(data, tuple) else (data,)
    batch = model.prepare_batch(
        tuple(None if d is None else ops.convert_to_tensor(d) for d in data),
        False,
    )
    model.seed_generator.state.assign(state)
    return batch


def loss_of(model, batch):
    return float(numpy(model.compute_loss(batch, y_pred=model(batch))))


def in_one_program(model, function):
    """What a function computes with the variables of a model.

    JAX compiles it as a whole, rather than a hundred operations one by one. It
    sees no losses that layers add.
    """
    if not ON_JAX:
        return function()
    variables = [*model.variables, *model.metrics_variables]
    return backend.jit(function, variables)()
