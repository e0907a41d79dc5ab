"""Transformer block with adaptive layer norm."""

import keras
from keras import layers

from keras_drift import backend
from keras_drift.generators.attention import Attention
from keras_drift.generators.feed_forward import FeedForward
from keras_drift.generators.modulation import Modulation
from keras_drift.generators.modulation import token_norm


@keras.saving.register_keras_serializable("keras_drift")
class DiTBlock(layers.Layer):
    """Attention and feed-forward, each shifted, scaled and gated (adaLN-zero).

    A dense layer initialized to zero maps the condition to the shifts, scales
    and gates, so that an untrained block is the identity.

    Args:
        dim: int, the width of a token.
        num_heads: int, the number of attention heads.
        mlp_ratio: float, the hidden width of the feed-forward over `dim`.
        use_rmsnorm: bool, RMS norms with a learned scale in place of layer
            norms without one.
        use_qknorm: bool, whether queries and keys are normalized.
        use_swiglu: bool, whether the feed-forward is gated.
        use_rope: bool, whether attention rotates by position.
        float32_attention: bool, whether attention is computed in float32 where
            layers compute in half precision.
        remat: bool, whether the backward pass rematerializes the block: only
            its inputs are kept, and the rest is computed again.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        tokens: float tensor `(batch, length, dim)`.
        condition: float tensor `(batch, cond_dim)`.

    Returns:
        float tensor `(batch, length, dim)`.

    Reference:

    - [Peebles and Xie, 2022](https://arxiv.org/abs/2212.09748)
    """

    def __init__(
        self,
        dim,
        num_heads,
        mlp_ratio=4.0,
        use_rmsnorm=True,
        use_qknorm=True,
        use_swiglu=True,
        use_rope=True,
        float32_attention=True,
        remat=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.dim = dim
        self.num_heads = num_heads
        self.mlp_ratio = mlp_ratio
        self.use_rmsnorm = use_rmsnorm
        self.use_qknorm = use_qknorm
        self.use_swiglu = use_swiglu
        self.use_rope = use_rope
        self.float32_attention = float32_attention
        self.remat = remat
        policy = self.dtype_policy
        self.modulation = Modulation(6, dim, name="modulation", dtype=policy)
        self.attention_norm = token_norm(use_rmsnorm, "attention_norm", policy)
        self.attention = Attention(
            dim,
            num_heads,
            use_qknorm,
            use_rope,
            use_rmsnorm,
            float32_attention,
            name="attention",
            dtype=policy,
        )
        self.feed_forward_norm = token_norm(
            use_rmsnorm, "feed_forward_norm", policy
        )
        self.feed_forward = FeedForward(
            dim, mlp_ratio, use_swiglu, name="feed_forward", dtype=policy
        )

    def build(self, tokens_shape, condition_shape):
        self.modulation.build(condition_shape)
        self.attention_norm.build(tokens_shape)
        self.attention.build(tokens_shape)
        self.feed_forward_norm.build(tokens_shape)
        self.feed_forward.build(tokens_shape)
        self.built = True

    def call(self, tokens, condition, training=None):
        # Exported programs have no need of it.
        in_memory = backend.in_memory if training else lambda x: x

        def transform(tokens, condition):
            return self._transform(tokens, condition, in_memory)

        if self.remat:
            transform = keras.remat(transform)
        return transform(tokens, condition)

    def _transform(self, tokens, condition, in_memory):
        shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = self.modulation(
            condition
        )
        # Of a 1 that is an integer, jax2onnx adds an int32 to floats.
        normed = self.attention_norm(tokens) * (1.0 + scale_a) + shift_a
        tokens = in_memory(tokens + gate_a * self.attention(normed))
        normed = self.feed_forward_norm(tokens) * (1.0 + scale_f) + shift_f
        return in_memory(tokens + gate_f * self.feed_forward(normed))

    def compute_output_shape(self, tokens_shape, condition_shape):
        """The shape of the tokens."""
        return tokens_shape

    def get_config(self):
        return {
            **super().get_config(),
            "dim": self.dim,
            "num_heads": self.num_heads,
            "mlp_ratio": self.mlp_ratio,
            "use_rmsnorm": self.use_rmsnorm,
            "use_qknorm": self.use_qknorm,
            "use_swiglu": self.use_swiglu,
            "use_rope": self.use_rope,
            "float32_attention": self.float32_attention,
            "remat": self.remat,
        }
