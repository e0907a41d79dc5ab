"""Sampling in batches, through a compiled network."""

import numpy as np
from keras import ops

from keras_drift import backend


class Sampler:
    """Draws samples from a generator: one forward pass for each batch.

    Args:
        generator: the `Generator`, compiled when it is first used.
    """

    def __init__(self, generator):
        self._network = backend.compiled(generator)

    def __call__(self, inputs, batch_size):
        """The samples of all inputs.

        Args:
            inputs: dict of NumPy arrays `(n, ...)`, what the generator takes.
            batch_size: int, the most samples in a forward pass.

        Returns:
            NumPy array `(n, *sample_shape)`.
        """
        n = len(next(iter(inputs.values())))
        # Full batches of few sizes, so that another `n` compiles nothing anew.
        size = min(batch_size, 1 << (n - 1).bit_length())
        inputs = {key: _filled_up(value, size) for key, value in inputs.items()}
        drawn = []
        for i in range(0, n, size):
            batch = {key: value[i : i + size] for key, value in inputs.items()}
            drawn.append(self._network(batch))
            # The next batch is asked for before this one is waited for.
            if len(drawn) > 1:
                drawn[-2] = ops.convert_to_numpy(drawn[-2])
        drawn[-1] = ops.convert_to_numpy(drawn[-1])
        return np.concatenate(drawn)[:n] if len(drawn) > 1 else drawn[0][:n]


def _filled_up(values, size):
    """Repeats the first row until batches of `size` are full."""
    padding = -len(values) % size
    if not padding:
        return values
    return np.concatenate([values, values[:1].repeat(padding, axis=0)])
