"""Embedding of class, style codes and guidance scale."""

import keras
import numpy as np
from keras import layers
from keras import ops

# Guidance may change little about a sample, and least of all at the start.
_GUIDANCE_SCALE = 0.02
_NUM_FREQUENCIES = 128


@keras.saving.register_keras_serializable("keras_drift")
class ConditionEmbedding(layers.Layer):
    """Embeds class, style codes and guidance scale as the sum of their vectors.

    Args:
        dim: int, the size of the vector.
        num_classes: int or `None`, without classes and guidance.
        num_style_tokens: int, how many style codes a sample has.
        style_codebook_size: int, how many values each code has.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        inputs: dict with `"labels"` and `"guidance"`, `(batch,)`, if there are
            classes, and `"styles"`, `(batch, num_style_tokens)`, if there are
            style tokens. Other entries are ignored.

    Returns:
        float tensor `(batch, dim)`.

    Reference:

    - [Deng et al., 2026](https://arxiv.org/abs/2602.04770)
    """

    def __init__(
        self,
        dim,
        num_classes=None,
        num_style_tokens=0,
        style_codebook_size=64,
        **kwargs,
    ):
        # Half precision would round the guidance scale before it is embedded.
        super().__init__(autocast=False, **kwargs)
        self.dim = dim
        self.num_classes = num_classes
        self.num_style_tokens = num_style_tokens
        self.style_codebook_size = style_codebook_size
        table = keras.initializers.RandomNormal(stddev=0.02)
        if num_classes is not None:
            self.classes = layers.Embedding(
                num_classes, dim, table, name="classes", dtype=self.dtype_policy
            )
            self.guidance_in = layers.Dense(
                dim, "silu", name="guidance_in", dtype=self.dtype_policy
            )
            self.guidance_out = layers.Dense(
                dim, name="guidance_out", dtype=self.dtype_policy
            )
            self.guidance_norm = layers.RMSNormalization(
                epsilon=1e-6, name="guidance_norm", dtype=self.dtype_policy
            )
        if num_style_tokens:
            # One table for all tokens: token k owns rows k*size, k*size+1, ...
            self.styles = layers.Embedding(
                num_style_tokens * style_codebook_size,
                dim,
                table,
                name="styles",
                dtype=self.dtype_policy,
            )

    def build(self, input_shape):
        del input_shape  # only sizes given to the constructor matter
        if self.num_classes is not None:
            self.classes.build((None,))
            self.guidance_in.build((None, 2 * _NUM_FREQUENCIES))
            self.guidance_out.build((None, self.dim))
            self.guidance_norm.build((None, self.dim))
        if self.num_style_tokens:
            self.styles.build((None, self.num_style_tokens))
        self.built = True

    def call(self, inputs):
        terms = []
        if self.num_classes is not None:
            terms.append(self.classes(inputs["labels"]))
            terms.append(self._embed_guidance(inputs["guidance"]))
        if self.num_style_tokens:
            # Tensors: PyTorch exports no arithmetic with NumPy arrays.
            offsets = np.arange(self.num_style_tokens, dtype="int32")
            offsets = ops.convert_to_tensor(offsets * self.style_codebook_size)
            rows = inputs["styles"] + offsets
            terms.append(ops.sum(self.styles(rows), axis=1))
        return sum(terms)

    def _embed_guidance(self, guidance):
        octaves = np.arange(_NUM_FREQUENCIES) / _NUM_FREQUENCIES
        frequencies = ops.convert_to_tensor(10000.0**-octaves, "float32")
        angles = ops.cast(guidance, "float32")[:, None] * frequencies
        features = ops.concatenate([ops.cos(angles), ops.sin(angles)], axis=-1)
        hidden = self.guidance_out(self.guidance_in(features))
        return _GUIDANCE_SCALE * self.guidance_norm(hidden)

    def compute_output_shape(self, input_shape):
        """`(batch, dim)`."""
        batch = next(iter(input_shape.values()))[0]
        return (batch, self.dim)

    def get_config(self):
        return {
            **super().get_config(),
            "dim": self.dim,
            "num_classes": self.num_classes,
            "num_style_tokens": self.num_style_tokens,
            "style_codebook_size": self.style_codebook_size,
        }
