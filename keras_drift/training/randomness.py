"""Random generators of a model, with a separate stream for evaluation."""

import contextlib

import numpy as np
from keras import ops

from keras_drift import seed_states


def seed_generators(model):
    """All random generators of a model and its layers, without duplicates.

    Noise, guidance scales, random projections of a drift and dropout all use
    one of them.
    """
    found = []
    for layer in model._flatten_layers():
        for value in getattr(layer, "_seed_generators", ()):
            if all(value is not other for other in found):
                found.append(value)
    return found


@contextlib.contextmanager
def evaluation_stream(model):
    """Context manager that gives evaluation its own random numbers.

    Inside, every random generator of the model is at the start of a stream that
    only evaluation uses, so evaluating twice gives the same numbers. At the end
    the states are restored, so evaluation does not change training.
    """
    generators = seed_generators(model)
    states = [ops.convert_to_numpy(g.state).copy() for g in generators]
    seed = 0 if model.seed is None else model.seed
    try:
        for index, generator in enumerate(generators):
            words = np.random.SeedSequence(
                (seed, seed_states.EVALUATION, index)
            )
            seed_states.assign(generator.state, words.generate_state(2))
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            seed_states.assign(generator.state, state)
