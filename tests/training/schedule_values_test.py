"""Schedules of a `fit` whose values no step can use."""

import keras
import numpy as np
import pytest

from keras_drift import DriftModel
from keras_drift import callbacks
from keras_drift import drifts
from small_models import small_mlp

DATA = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")


def linear(start, end, steps):
    return keras.optimizers.schedules.PolynomialDecay(start, steps, end)


def fit(epochs=4, annealing=None, **arguments):
    """Four steps in each epoch."""
    model = DriftModel(small_mlp(), drifts.KernelDrift(), **arguments)
    model.compile(keras.optimizers.SGD(0.1))
    before = model.generator.get_weights()
    given = [] if annealing is None else [annealing]
    try:
        model.fit(
            DATA, epochs=epochs, batch_size=16, callbacks=given, verbose=0
        )
    except ValueError:
        after = model.generator.get_weights()
        assert all(map(np.array_equal, before, after))  # nothing was trained
        raise


@pytest.mark.parametrize("last", [-0.5, np.nan, np.inf])
def test_refuses_step_sizes_that_no_step_can_use(last):
    with pytest.raises(ValueError, match=rf"step size.*0 to 15.*{last} at"):
        fit(step_size=lambda step: keras.ops.where(step > 12, last, 1.0))


@pytest.mark.parametrize("own", [True, False])
def test_refuses_negative_bandwidths(own):
    schedule = linear(1.0, -0.5, 15)
    if own:
        options = {"bandwidth_schedule": schedule}
    else:
        options = {"annealing": callbacks.BandwidthAnnealing(schedule)}
    with pytest.raises(ValueError, match=r"bandwidth.*>= 0.*0 to 15.*-0.1 at"):
        fit(**options)
    fit(epochs=2, **options)  # which ends before


def test_a_step_size_may_begin_at_zero():
    fit(epochs=1, step_size=linear(0.0, 1.0, 4))
