"""Batched sampling from a compiled generator."""

import numpy as np
from keras import ops

from keras_drift import backend


class Sampler:
    """Batched sampling from a compiled generator.

    Args:
        generator: the `Generator`. It is compiled on first use, and again when
            its variables are replaced (LoRA, quantization).
    """

    def __init__(self, generator):
        self._generator = generator
        self._network = self._variables = None

    def serves(self, generator):
        """Whether this sampler was made for `generator`."""
        return generator is self._generator

    def _current_network(self):
        variables = list(self._generator.variables)
        if self._variables is None or not _same(variables, self._variables):
            self._network = backend.compiled(self._generator)
            self._variables = variables
        return self._network

    def __call__(self, inputs, batch_size):
        """Generates a sample from each input.

        Args:
            inputs: dict of NumPy arrays `(n, ...)`, the generator's inputs.
            batch_size: int, the maximum number of samples in a forward pass.

        Returns:
            NumPy array `(n, *sample_shape)`.
        """
        network = self._current_network()
        n = len(next(iter(inputs.values())))
        # Full batches of few sizes, so that another `n` rarely recompiles.
        size = min(batch_size, 1 << (n - 1).bit_length())
        inputs = {key: _padded(value, size) for key, value in inputs.items()}
        outputs = []
        for i in range(0, n, size):
            batch = {key: value[i : i + size] for key, value in inputs.items()}
            outputs.append(network(batch))
            # The next batch is dispatched before waiting for this one.
            if len(outputs) > 1:
                outputs[-2] = ops.convert_to_numpy(outputs[-2])
        outputs[-1] = ops.convert_to_numpy(outputs[-1])
        return (
            np.concatenate(outputs)[:n] if len(outputs) > 1 else outputs[0][:n]
        )


def _same(variables, others):
    return len(variables) == len(others) and all(
        one is other for one, other in zip(variables, others, strict=True)
    )


def _padded(values, size):
    """Pads with the first row to a multiple of `size` rows."""
    padding = -len(values) % size
    if not padding:
        return values
    return np.concatenate([values, values[:1].repeat(padding, axis=0)])
