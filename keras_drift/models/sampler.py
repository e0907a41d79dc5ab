"""Sampling in batches, through a compiled network."""

import numpy as np
from keras import ops

from keras_drift import backend


class Sampler:
    """Samples a generator: one forward pass for each batch.

    Args:
        generator: the `Generator`. It is compiled when it is first used, and
            again when its layers have got other variables (LoRA, quantization).
    """

    def __init__(self, generator):
        self._generator = generator
        self._network = self._variables = None

    def serves(self, generator):
        """Whether this is the sampler of `generator`."""
        return generator is self._generator

    def _current_network(self):
        variables = list(self._generator.variables)
        if self._variables is None or not _same(variables, self._variables):
            self._network = backend.compiled(self._generator)
            self._variables = variables
        return self._network

    def __call__(self, inputs, batch_size):
        """The samples of all inputs.

        Args:
            inputs: dict of NumPy arrays `(n, ...)`, what the generator takes.
            batch_size: int, the most samples in a forward pass.

        Returns:
            NumPy array `(n, *sample_shape)`.
        """
        network = self._current_network()
        n = len(next(iter(inputs.values())))
        # Full batches of few sizes, so that another `n` compiles nothing anew.
        size = min(batch_size, 1 << (n - 1).bit_length())
        inputs = {key: _filled_up(value, size) for key, value in inputs.items()}
        found = []
        for i in range(0, n, size):
            batch = {key: value[i : i + size] for key, value in inputs.items()}
            found.append(network(batch))
            # The next batch is asked for before this one is waited for.
            if len(found) > 1:
                found[-2] = ops.convert_to_numpy(found[-2])
        found[-1] = ops.convert_to_numpy(found[-1])
        return np.concatenate(found)[:n] if len(found) > 1 else found[0][:n]


def _same(variables, others):
    return len(variables) == len(others) and all(
        one is other for one, other in zip(variables, others, strict=True)
    )


def _filled_up(values, size):
    """Repeats the first row until batches of `size` are full."""
    padding = -len(values) % size
    if not padding:
        return values
    return np.concatenate([values, values[:1].repeat(padding, axis=0)])
