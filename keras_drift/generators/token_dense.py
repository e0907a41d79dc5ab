"""A dense layer for tokens."""

import keras
from keras import layers
from keras import ops


@keras.saving.register_keras_serializable("keras_drift")
class TokenDense(layers.Dense):
    """`keras.layers.Dense` for `(batch, length, dim)`, as one matrix product.

    The result is that of `Dense`. Compilers for CPUs are slow at the gradient
    of a product over two batch axes; with all tokens of all samples in one
    axis, training is up to twice as fast.

    Args:
        units: int, the size of the outputs.
        *args: passed to `keras.layers.Dense`.
        **kwargs: passed to `keras.layers.Dense`.

    Call arguments:
        inputs: float tensor `(batch, length, dim)`.

    Returns:
        float tensor `(batch, length, units)`.
    """

    def call(self, inputs, training=None):
        _, length, dim = inputs.shape
        flat = super().call(ops.reshape(inputs, (-1, dim)), training=training)
        return ops.reshape(flat, (-1, length, self.units))

    def quantize(self, mode=None, type_check=True, config=None):
        """As of `Dense`, which refuses subclasses: their `call` may differ."""
        del type_check
        super().quantize(mode, type_check=False, config=config)
