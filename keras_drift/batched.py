"""Compiled functions of arrays, called batch by batch."""

import keras
import numpy as np
from keras import ops


class Batched:
    """Compiled function of arrays that is called batch by batch.

    The memory of a call is that of one batch. Batches are padded to few sizes,
    so that another number of rows rarely recompiles.

    Args:
        layer: the `keras.layers.Layer` whose variables the function reads.
        compile: callable from the layer to a function of a dict of arrays. It
            is called on first use, and again when the variables are replaced
            (LoRA, quantization).
    """

    def __init__(self, layer, compile):
        self._layer = layer
        self._compile = compile
        self._program = self._variables = None

    def serves(self, layer):
        """Whether this function was made for `layer`."""
        return layer is self._layer

    def _current_program(self):
        variables = list(self._layer.variables)
        if self._variables is None or not _same(variables, self._variables):
            self._program = self._compile(self._layer)
            self._variables = variables
        return self._program

    def __call__(self, inputs, batch_size):
        """Calls the function on each batch, and joins the results.

        Args:
            inputs: dict of NumPy arrays `(n, ...)`.
            batch_size: int, the maximum number of rows in a batch.

        Returns:
            NumPy array `(n, ...)`, or a structure of them.
        """
        program = self._current_program()
        n = len(next(iter(inputs.values())))
        # Full batches of few sizes, so that another `n` rarely recompiles.
        size = min(batch_size, 1 << (n - 1).bit_length())
        inputs = {key: _padded(value, size) for key, value in inputs.items()}
        outputs = []
        for i in range(0, n, size):
            batch = {key: value[i : i + size] for key, value in inputs.items()}
            outputs.append(program(batch))
            # The next batch is dispatched before waiting for this one.
            if len(outputs) > 1:
                outputs[-2] = _on_the_host(outputs[-2])
        outputs[-1] = _on_the_host(outputs[-1])
        return keras.tree.map_structure(
            lambda *parts: _joined(parts)[:n], *outputs
        )


def _on_the_host(outputs):
    return keras.tree.map_structure(ops.convert_to_numpy, outputs)


def _joined(parts):
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


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
