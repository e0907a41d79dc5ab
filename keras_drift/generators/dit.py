"""Diffusion transformer as a generator of images."""

import keras
import numpy as np
from keras import layers
from keras import ops

from keras_drift import checks
from keras_drift import patch_folding
from keras_drift.generators.condition_embedding import ConditionEmbedding
from keras_drift.generators.dit_block import DiTBlock
from keras_drift.generators.generator import Generator
from keras_drift.generators.generator import condition_inputs
from keras_drift.generators.modulation import Modulation
from keras_drift.generators.modulation import token_norm
from keras_drift.generators.token_dense import TokenDense
from keras_drift.global_policy import global_policy

_OPTIONAL = ("num_classes", "cond_dim", "noise_channels")
_FLAGS = (
    "use_rmsnorm",
    "use_qknorm",
    "use_swiglu",
    "use_rope",
    "float32_attention",
    "remat",
)
_POSITIVE = (
    "patch_size",
    "hidden_dim",
    "depth",
    "num_heads",
    "style_codebook_size",
    *_OPTIONAL,
)


@keras.saving.register_keras_serializable("keras_drift")
class DiT(Generator):
    """Generator of images: a transformer over patches of noise.

    The network of the published image models, at any size. The noise has the
    shape of the image; it is cut into patches, and class, guidance scale and
    style codes modulate every block. An untrained one generates gray images,
    because its last layer starts at zero.

    The sizes of the published models have names, listed in `DiT.presets`:
    `dit_b2_latent`, `dit_l2_latent` and `dit_xl2_latent` for latents of
    autoencoders, `dit_b16_pixel` and `dit_l16_pixel` for images. They have no
    weights: `DiT.from_preset("dit_b2_latent", load_weights=False)`. Other
    arguments may replace theirs, such as `num_classes=10`.

    A generator is saved as frozen or trainable as a whole. Set `trainable` of
    single blocks again after loading.

    Args:
        image_shape: `(height, width, channels)` of an image or latent; height
            and width are multiples of `patch_size`.
        num_classes: int or `None`. With classes, samples are conditional on a
            label and a guidance scale. Defaults to `None`.
        patch_size: int, the side of a patch. Defaults to `2`.
        hidden_dim: int, the width of a token. Defaults to `256`.
        depth: int, the number of blocks. Defaults to `6`.
        num_heads: int, the number of attention heads; it must divide
            `hidden_dim` into heads of even size. Defaults to `4`.
        mlp_ratio: float > 0, the hidden width of the feed-forward over
            `hidden_dim`. Defaults to `4.0`.
        cond_dim: int, the size of the condition vector. Defaults to `None`:
            `hidden_dim`.
        num_context_tokens: int, how many tokens made from the condition go
            ahead of the image's. Defaults to `0`.
        num_style_tokens: int, how many random codes a sample is given beside
            its noise. Defaults to `0`.
        style_codebook_size: int, how many values each code has. Defaults to
            `64`.
        noise_channels: int, the channels of the noise. Defaults to `None`:
            those of the image.
        use_rmsnorm: bool, RMS norms with a learned scale in place of layer
            norms without one. Defaults to `True`.
        use_qknorm: bool, whether queries and keys are normalized. Defaults to
            `True`.
        use_swiglu: bool, whether the feed-forward is gated. Defaults to `True`.
        use_rope: bool, whether attention rotates by position. Defaults to
            `True`.
        float32_attention: bool, whether attention (rotations, logits, softmax,
            weighted means) is computed in float32 under a policy of half
            precision. The released models of latents are trained without it.
            Defaults to `True`.
        remat: bool, whether training rematerializes the blocks: the backward
            pass keeps the inputs of each block and computes the rest again,
            which takes a fraction of the memory and a third more time. On
            CPUs, the compiler of JAX undoes most of it. Defaults to `False`.
        dtype: the dtype policy of the layers, such as `"mixed_bfloat16"`; the
            image is float32 whatever it is. Defaults to `None`: the global
            policy.
        **kwargs: `name` and `trainable`, as for `keras.Model`.

    Example:

    >>> from keras_drift import generators
    >>> generator = generators.DiT(
    ...     image_shape=(8, 8, 1), num_classes=10, hidden_dim=32, depth=1
    ... )
    >>> inputs = generator.sample_inputs(2, labels=[3, 1], seed=0)
    >>> generator.predict(inputs, verbose=0).shape
    (2, 8, 8, 1)

    Reference:

    - [Peebles and Xie, 2022](https://arxiv.org/abs/2212.09748)
    - [Deng et al., 2026](https://arxiv.org/abs/2602.04770)
    """

    def __init__(
        self,
        image_shape,
        num_classes=None,
        patch_size=2,
        hidden_dim=256,
        depth=6,
        num_heads=4,
        mlp_ratio=4.0,
        cond_dim=None,
        num_context_tokens=0,
        num_style_tokens=0,
        style_codebook_size=64,
        noise_channels=None,
        use_rmsnorm=True,
        use_qknorm=True,
        use_swiglu=True,
        use_rope=True,
        float32_attention=True,
        remat=False,
        dtype=None,
        **kwargs,
    ):
        height, width, channels = _checked_image_shape(image_shape, patch_size)
        config = {
            "image_shape": [height, width, channels],
            "num_classes": num_classes,
            "patch_size": patch_size,
            "hidden_dim": hidden_dim,
            "depth": depth,
            "num_heads": num_heads,
            "mlp_ratio": mlp_ratio,
            "cond_dim": cond_dim,
            "num_context_tokens": num_context_tokens,
            "num_style_tokens": num_style_tokens,
            "style_codebook_size": style_codebook_size,
            "noise_channels": noise_channels,
            "use_rmsnorm": use_rmsnorm,
            "use_qknorm": use_qknorm,
            "use_swiglu": use_swiglu,
            "use_rope": use_rope,
            "float32_attention": float32_attention,
            "remat": remat,
        }
        config = {**config, **_checked_sizes(config), **_checked_flags(config)}
        with global_policy(dtype):
            inputs, image = _graph(config)
            super().__init__(
                inputs,
                image,
                config["num_classes"],
                config["style_codebook_size"],
                **kwargs,
            )
        self._config = config

    def get_config(self):
        return {**self._config, **self.base_config()}


@keras.saving.register_keras_serializable("keras_drift")
class _Positions(layers.Layer):
    """Adds a learned position to every token; sines of the grid at first."""

    def __init__(self, rows, columns, **kwargs):
        super().__init__(**kwargs)
        self.rows = rows
        self.columns = columns

    def build(self, input_shape):
        table = _grid_positions(self.rows, self.columns, input_shape[-1])
        self.table = self.add_weight(
            name="table",
            shape=table.shape,
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(
                table, dtype
            ),
        )

    def call(self, tokens):
        return tokens + self.table

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        sizes = {"rows": self.rows, "columns": self.columns}
        return {**super().get_config(), **sizes}


@keras.saving.register_keras_serializable("keras_drift")
class _ContextTokens(layers.Layer):
    """Tokens made from the condition, each with an embedding of its own."""

    def __init__(self, num_tokens, dim, **kwargs):
        super().__init__(**kwargs)
        self.num_tokens = num_tokens
        self.dim = dim
        self.dense = layers.Dense(dim, name="dense", dtype=self.dtype_policy)

    def build(self, condition_shape):
        self.dense.build(condition_shape)
        self.embedding = self.add_weight(
            name="embedding",
            shape=(1, self.num_tokens, self.dim),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
        )

    def call(self, condition):
        return self.dense(condition)[:, None, :] + self.embedding

    def compute_output_shape(self, condition_shape):
        return (condition_shape[0], self.num_tokens, self.dim)

    def get_config(self):
        sizes = {"num_tokens": self.num_tokens, "dim": self.dim}
        return {**super().get_config(), **sizes}


@keras.saving.register_keras_serializable("keras_drift")
class _NoCondition(layers.Layer):
    """A learned vector in place of the condition."""

    def __init__(self, dim, **kwargs):
        super().__init__(**kwargs)
        self.dim = dim

    def build(self, input_shape):
        del input_shape  # any batch will do
        self.vector = self.add_weight(
            name="vector",
            shape=(1, self.dim),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
        )

    def call(self, inputs):
        return ops.broadcast_to(self.vector, (ops.shape(inputs)[0], self.dim))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.dim)

    def get_config(self):
        return {**super().get_config(), "dim": self.dim}


def _graph(config):
    """The functional graph: a dict of inputs, and the image."""
    height, width, channels = config["image_shape"]
    size, dim = config["patch_size"], config["hidden_dim"]
    noise_channels = config["noise_channels"] or channels
    noise = keras.Input((height, width, noise_channels), name="noise")
    conditions = condition_inputs(
        config["num_classes"], config["num_style_tokens"]
    )
    condition = _condition(config, noise, conditions)
    tokens = TokenDense(dim, name="patches")(_to_patches(noise, size))
    positions = _Positions(height // size, width // size, name="positions")
    tokens = positions(tokens)
    num_context = config["num_context_tokens"]
    if num_context:
        context = _ContextTokens(num_context, dim, name="context")(condition)
        tokens = ops.concatenate([context, tokens], axis=1)
    for block in _blocks(config):
        tokens = block(tokens, condition)
    shift, scale = Modulation(2, dim, name="last_modulation")(condition)
    norm = token_norm(config["use_rmsnorm"], "last_norm", None)
    to_pixels = TokenDense(
        size**2 * channels,
        kernel_initializer="zeros",
        name="to_pixels",
        dtype="float32",
    )
    pixels = to_pixels(norm(tokens) * (1.0 + scale) + shift)
    image = _to_image(pixels[:, num_context:], (height, width, channels), size)
    return {"noise": noise, **conditions}, image


def _condition(config, noise, conditions):
    """The condition vector; a learned constant where there is no condition."""
    dim = config["cond_dim"] or config["hidden_dim"]
    if not conditions:
        return _NoCondition(dim, name="no_condition")(noise)
    embed = ConditionEmbedding(
        dim,
        config["num_classes"],
        config["num_style_tokens"],
        config["style_codebook_size"],
        name="condition",
    )
    return embed(conditions)


def _blocks(config):
    return [
        DiTBlock(
            config["hidden_dim"],
            config["num_heads"],
            config["mlp_ratio"],
            config["use_rmsnorm"],
            config["use_qknorm"],
            config["use_swiglu"],
            config["use_rope"],
            config["float32_attention"],
            config["remat"],
            name=f"block_{i}",
        )
        for i in range(config["depth"])
    ]


def _grid_positions(rows, columns, dim):
    """Sines and cosines of the column, then of the row: `(1, tokens, dim)`."""
    quarter = dim // 4
    frequencies = 10000.0 ** -(np.arange(quarter) / quarter)

    def encode(positions):
        angles = np.outer(positions, frequencies)
        return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)

    row, column = np.divmod(np.arange(rows * columns), columns)
    table = np.concatenate([encode(column), encode(row)], axis=1)
    return np.pad(table, [(0, 0), (0, dim - 4 * quarter)])[None]


def _to_patches(images, size):
    """`(batch, height, width, c)` to `(batch, tokens, size * size * c)`."""
    folded = patch_folding.fold(images, size)
    _, rows, columns, dim = folded.shape
    return ops.reshape(folded, (-1, rows * columns, dim))


def _to_image(patches, image_shape, size):
    """The inverse of `_to_patches`."""
    height, width, channels = image_shape
    sizes = (-1, height // size, width // size, size * size * channels)
    return patch_folding.unfold(ops.reshape(patches, sizes), size)


def _checked_image_shape(image_shape, patch_size):
    patch_size = checks.positive_integer("patch_size", patch_size)
    shape = tuple(image_shape) if np.iterable(image_shape) else ()
    if len(shape) != 3:
        raise ValueError(
            "`image_shape` is (height, width, channels), without a batch. "
            f"Received: image_shape={image_shape!r}"
        )
    shape = tuple(checks.positive_integer("image_shape", n) for n in shape)
    if shape[0] % patch_size or shape[1] % patch_size:
        raise ValueError(
            "Images are cut into square patches, so height and width must be "
            "multiples of `patch_size`. Received: "
            f"image_shape={shape}, patch_size={patch_size}"
        )
    return shape


def _checked_flags(config):
    """The switches among the arguments."""
    return {name: checks.boolean(name, config[name]) for name in _FLAGS}


def _checked_sizes(config):
    """The sizes among the arguments, as Python integers."""
    sizes = {
        name: checks.positive_integer(name, config[name])
        for name in _POSITIVE
        if config[name] is not None or name not in _OPTIONAL
    }
    for name in ("num_style_tokens", "num_context_tokens"):
        sizes[name] = checks.non_negative_integer(name, config[name])
    checks.positive_number("mlp_ratio", config["mlp_ratio"])
    hidden_dim, num_heads = config["hidden_dim"], config["num_heads"]
    if hidden_dim % (2 * num_heads):
        raise ValueError(
            "`num_heads` must divide `hidden_dim` into heads of even size, "
            "since positions rotate pairs of coordinates. Received: "
            f"hidden_dim={hidden_dim}, num_heads={num_heads}"
        )
    conditional = config["num_classes"] is not None or (
        config["num_style_tokens"] > 0
    )
    if config["num_context_tokens"] and not conditional:
        raise ValueError(
            "Context tokens are made from the condition: give the "
            "generator `num_classes` or `num_style_tokens`. Received: "
            f"num_context_tokens={config['num_context_tokens']}"
        )
    return sizes
