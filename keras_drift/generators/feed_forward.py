"""Feed-forward network of a transformer block."""

import keras
from keras import layers

from keras_drift.generators.token_dense import TokenDense


@keras.saving.register_keras_serializable("keras_drift")
class FeedForward(layers.Layer):
    """Two dense layers with a non-linearity, or a gate, between them.

    Args:
        dim: int, the width of a token.
        mlp_ratio: float, the hidden width over `dim`. With a gate two thirds of
            it, rounded up to a multiple of 32, for the same number of weights.
        use_swiglu: bool, whether the hidden layer is gated (SwiGLU); otherwise
            it is a GELU.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        tokens: float tensor `(batch, length, dim)`.

    Returns:
        float tensor `(batch, length, dim)`.
    """

    def __init__(self, dim, mlp_ratio=4.0, use_swiglu=True, **kwargs):
        super().__init__(**kwargs)
        self.dim = dim
        self.mlp_ratio = mlp_ratio
        self.use_swiglu = use_swiglu
        self.hidden_dim = int(dim * mlp_ratio)
        if use_swiglu:
            self.hidden_dim = -(-int(2 / 3 * self.hidden_dim) // 32) * 32
        if self.hidden_dim < 1:
            raise ValueError(
                "`mlp_ratio` leaves the feed-forward no hidden unit. "
                f"Received: mlp_ratio={mlp_ratio}, dim={dim}"
            )
        policy = self.dtype_policy
        if use_swiglu:
            self.gate = TokenDense(
                self.hidden_dim, "silu", name="gate", dtype=policy
            )
        self.up = TokenDense(self.hidden_dim, name="up", dtype=policy)
        self.down = TokenDense(dim, name="down", dtype=policy)

    def build(self, input_shape):
        if self.use_swiglu:
            self.gate.build(input_shape)
        self.up.build(input_shape)
        self.down.build((*input_shape[:-1], self.hidden_dim))
        self.built = True

    def call(self, tokens):
        hidden = self.up(tokens)
        if self.use_swiglu:
            hidden = hidden * self.gate(tokens)
        else:
            hidden = keras.ops.gelu(hidden, approximate=False)
        return self.down(hidden)

    def compute_output_shape(self, input_shape):
        """The shape of the tokens."""
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "dim": self.dim,
            "mlp_ratio": self.mlp_ratio,
            "use_swiglu": self.use_swiglu,
        }
