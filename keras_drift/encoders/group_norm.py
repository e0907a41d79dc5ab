"""Group normalization of maps."""

import keras
from keras import layers
from keras import ops

from keras_drift import backend

MAX_GROUPS = 32


class GroupNormalization(layers.GroupNormalization):
    """Group normalization of maps, on CPUs several times as fast as in Keras.

    Compilers reduce over positions first, then over the channels of a group,
    faster than over both at once, where the channels of a group are few. Files
    of weights have the name of the class, which is that of Keras.

    Args:
        groups: int, a divisor of the channels.
        **kwargs: `epsilon`, `name` and `dtype`, see
            `keras.layers.GroupNormalization`.

    Call arguments:
        inputs: tensor `(batch, height, width, channels)`.
    """

    def call(self, inputs):
        if not backend.COMPILES:
            return super().call(inputs)
        x = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        mean = self._mean(x)
        variance = self._mean(ops.square(x - mean))
        gamma = ops.cast(self.gamma, x.dtype)
        scale = gamma * ops.rsqrt(variance + self.epsilon)
        shift = ops.cast(self.beta, x.dtype) - mean * scale
        return ops.cast(x * scale + shift, inputs.dtype)

    def _mean(self, values):
        """Means over positions and groups, `(batch, 1, 1, channels)`."""
        channels = values.shape[-1]
        size = channels // self.groups
        by_channel = ops.mean(values, axis=(1, 2))
        by_channel = ops.reshape(by_channel, (-1, self.groups, size))
        means = ops.mean(by_channel, axis=-1, keepdims=True)
        means = ops.repeat(means, size, axis=-1)
        return ops.reshape(means, (-1, 1, 1, channels))


def group_norm(channels, name=None, dtype=None):
    """Group norm with as many groups as divide the channels, at most 32."""
    groups = min(MAX_GROUPS, channels)
    while channels % groups:
        groups -= 1
    return GroupNormalization(groups, epsilon=1e-6, name=name, dtype=dtype)
