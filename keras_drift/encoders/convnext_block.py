"""Residual block of ConvNeXt V2."""

import keras
from keras import layers
from keras import ops

from keras_drift import backend

_EPSILON = 1e-6


@keras.saving.register_keras_serializable("keras_drift")
class ConvNeXtBlock(layers.Layer):
    """Depthwise convolution and a feed-forward over channels, with a residual.

    Args:
        dim: int, the number of channels.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        maps: float tensor `(batch, height, width, dim)`.

    Returns:
        float tensor `(batch, height, width, dim)`.

    Reference:

    - [Woo et al., 2023](https://arxiv.org/abs/2301.00808)
    """

    def __init__(self, dim, **kwargs):
        super().__init__(**kwargs)
        self.dim = dim
        policy = self.dtype_policy
        self.depthwise = layers.DepthwiseConv2D(
            7,
            padding="same",
            data_format="channels_last",
            name="depthwise",
            dtype=policy,
        )
        self.norm = channel_norm("norm", policy)
        self.expand = layers.Dense(4 * dim, name="expand", dtype=policy)
        self.response_norm = ResponseNormalization(
            name="response_norm", dtype=policy
        )
        self.project = layers.Dense(dim, name="project", dtype=policy)

    @property
    def parts(self):
        """The layers with weights, in the order in which they are called."""
        return [
            self.depthwise,
            self.norm,
            self.expand,
            self.response_norm,
            self.project,
        ]

    def build(self, input_shape):
        hidden_shape = (*input_shape[:-1], 4 * self.dim)
        self.depthwise.build(input_shape)
        self.norm.build(input_shape)
        self.expand.build(input_shape)
        self.response_norm.build(hidden_shape)
        self.project.build(hidden_shape)
        self.built = True

    def call(self, maps):
        hidden = self.expand(self.norm(self.depthwise(maps)))
        hidden = ops.gelu(hidden, approximate=False)
        hidden = self.project(self.response_norm(hidden))
        # The next block and the features of this one read it.
        return backend.in_memory(maps + hidden)

    def compute_output_shape(self, input_shape):
        """The shape of the maps."""
        return input_shape

    def get_config(self):
        return {**super().get_config(), "dim": self.dim}


@keras.saving.register_keras_serializable("keras_drift")
class ResponseNormalization(layers.Layer):
    """Global response normalization: channels compete by their norms.

    Each channel is scaled by its norm over all positions, relative to the mean
    norm of the channels: `gamma * (x * norm / mean_norm) + beta + x`.

    Args:
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        maps: float tensor `(batch, height, width, dim)`.

    Returns:
        float tensor `(batch, height, width, dim)`.
    """

    def build(self, input_shape):
        shape = input_shape[-1:]
        self.gamma = self.add_weight(
            name="gamma", shape=shape, initializer="zeros"
        )
        self.beta = self.add_weight(
            name="beta", shape=shape, initializer="zeros"
        )

    def call(self, maps):
        squares = ops.sum(ops.square(maps), axis=(1, 2), keepdims=True)
        norm = ops.sqrt(squares + _EPSILON)
        mean = ops.mean(norm, axis=-1, keepdims=True)
        response = norm / (mean + _EPSILON)
        return self.gamma * (maps * response) + self.beta + maps

    def compute_output_shape(self, input_shape):
        """The shape of the maps."""
        return input_shape


def channel_norm(name, policy):
    """A layer norm over channels, as in all layers of ConvNeXt V2."""
    return layers.LayerNormalization(epsilon=_EPSILON, name=name, dtype=policy)
