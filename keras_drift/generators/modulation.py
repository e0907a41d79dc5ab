"""Adaptive layer norm modulation (adaLN)."""

import keras
from keras import layers
from keras import ops


@keras.saving.register_keras_serializable("keras_drift")
class Modulation(layers.Layer):
    """Maps a condition to shifts, scales and gates, initialized to zero.

    It computes in the precision of its weights: half precision would round the
    scales of all tokens, for no gain, since there is one product a sample.

    Args:
        count: int, how many vectors.
        dim: int, the size of each.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        condition: float tensor `(batch, cond_dim)`.

    Returns:
        A list of `count` float tensors `(batch, 1, dim)`.
    """

    def __init__(self, count, dim, **kwargs):
        super().__init__(**kwargs)
        self.count = count
        self.dim = dim
        self.dense = layers.Dense(
            count * dim,
            kernel_initializer="zeros",
            name="dense",
            dtype=self.variable_dtype,
        )

    def build(self, condition_shape):
        self.dense.build(condition_shape)
        self.built = True

    def call(self, condition):
        condition = ops.cast(condition, self.variable_dtype)
        vectors = self.dense(ops.silu(condition))[:, None, :]
        vectors = ops.cast(vectors, self.compute_dtype)
        return ops.split(vectors, self.count, axis=-1)

    def compute_output_shape(self, condition_shape):
        """One `(batch, 1, dim)` for each vector."""
        return [(condition_shape[0], 1, self.dim)] * self.count

    def get_config(self):
        return {**super().get_config(), "count": self.count, "dim": self.dim}


def token_norm(use_rmsnorm, name, policy):
    """The norm ahead of a modulation."""
    if use_rmsnorm:
        return layers.RMSNormalization(epsilon=1e-6, name=name, dtype=policy)
    return layers.LayerNormalization(
        epsilon=1e-6, center=False, scale=False, name=name, dtype=policy
    )
