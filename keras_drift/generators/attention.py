"""Multi-head self-attention."""

import keras
import numpy as np
from keras import layers
from keras import ops

from keras_drift import backend
from keras_drift.generators.token_dense import TokenDense


@keras.saving.register_keras_serializable("keras_drift")
class Attention(layers.Layer):
    """Multi-head self-attention with normalized queries and rotary positions.

    Args:
        dim: int, the width of a token.
        num_heads: int, which must divide `dim`.
        use_qknorm: bool, whether queries and keys are normalized per head,
            which keeps the logits of wide networks small.
        use_rope: bool, whether queries and keys are rotated by their position.
        use_rmsnorm: bool, whether that norm is an RMS norm, not a layer norm.
        float32_attention: bool, whether rotations, logits, softmax and weighted
            means are computed in float32 where layers compute in half
            precision.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        tokens: float tensor `(batch, length, dim)`.

    Returns:
        float tensor `(batch, length, dim)`.
    """

    def __init__(
        self,
        dim,
        num_heads,
        use_qknorm=True,
        use_rope=True,
        use_rmsnorm=True,
        float32_attention=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.dim = dim
        self.num_heads = num_heads
        self.use_qknorm = use_qknorm
        self.use_rope = use_rope
        self.use_rmsnorm = use_rmsnorm
        self.float32_attention = float32_attention
        policy = self.dtype_policy
        self.to_qkv = TokenDense(3 * dim, name="to_qkv", dtype=policy)
        self.project = TokenDense(dim, name="project", dtype=policy)
        if use_qknorm:
            norm = (
                layers.RMSNormalization
                if use_rmsnorm
                else layers.LayerNormalization
            )
            self.q_norm = norm(epsilon=1e-6, name="q_norm", dtype=policy)
            self.k_norm = norm(epsilon=1e-6, name="k_norm", dtype=policy)

    def build(self, input_shape):
        self.to_qkv.build(input_shape)
        self.project.build(input_shape)
        if self.use_qknorm:
            head = (None, None, self.num_heads, self.dim // self.num_heads)
            self.q_norm.build(head)
            self.k_norm.build(head)
        self.built = True

    def call(self, tokens, training=None):
        length, head_dim = tokens.shape[1], self.dim // self.num_heads
        qkv = ops.reshape(
            self.to_qkv(tokens), (-1, length, 3, self.num_heads, head_dim)
        )
        q, k, v = qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]
        if self.use_qknorm:
            q, k = self.q_norm(q), self.k_norm(k)
        if self.float32_attention:
            exact = keras.backend.result_type(v.dtype, "float32")
            q, k, v = (ops.cast(x, exact) for x in (q, k, v))
        if self.use_rope:
            q, k = _rotate(q), _rotate(k)
        mixed = backend.attention(q, k, v, training)
        return self.project(ops.reshape(mixed, (-1, length, self.dim)))

    def compute_output_shape(self, input_shape):
        """The shape of the tokens."""
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "dim": self.dim,
            "num_heads": self.num_heads,
            "use_qknorm": self.use_qknorm,
            "use_rope": self.use_rope,
            "use_rmsnorm": self.use_rmsnorm,
            "float32_attention": self.float32_attention,
        }


def _rotate(x):
    """Rotary positions along the sequence: first half with second half."""
    length, half = x.shape[1], x.shape[-1] // 2
    angles = np.outer(np.arange(length), 10000.0 ** -(np.arange(half) / half))
    angles = angles[None, :, None, :]  # (1, length, 1, half)
    cos = ops.convert_to_tensor(np.cos(angles), x.dtype)
    sin = ops.convert_to_tensor(np.sin(angles), x.dtype)
    first, second = x[..., :half], x[..., half:]
    return ops.concatenate(
        [first * cos - second * sin, second * cos + first * sin], axis=-1
    )
