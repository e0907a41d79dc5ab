"""States of random generators: assigned, saved and loaded."""

import keras
import numpy as np

from keras_drift import backend

# Distinguishes the random numbers of evaluation from others of the same seed.
EVALUATION = 0x6576616C

_NAME = "seed_generator_state"


def assign(state, value):
    """Assigns to the state of a generator, whatever its integer type is."""
    dtype = keras.backend.standardize_dtype(state.dtype)
    state.assign(np.asarray(value).astype(dtype))


def save(generator, store):
    """Writes the state of a generator to the `store` of Keras' saving."""
    store[_NAME] = backend.host_value(generator.state)


def load(generator, store):
    """Reads the state that `save` wrote."""
    assign(generator.state, store[_NAME])
