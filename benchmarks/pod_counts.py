"""Counts the operations and the bytes of a published training step.

Nothing is compiled at its size. A network is lowered (`jax.jit(...).lower`,
whose `cost_analysis` counts operations before any optimization) at small sizes,
and the counts are continued by the polynomial that they follow: in the depth of
a DiT of line, in the width of a residual network of square. The field is
counted in compiled programs, loops included. JAX only.
"""

import math
import typing

import compiled_cost
import jax
import jax.numpy as jnp
import keras
import numpy as np

import keras_drift as kd

_BATCH = 2
_DEPTHS = (1, 2)
_WIDTHS = (32, 64, 96)
_DIMS = (64, 128)
_PROBLEMS = 8
# Samples themselves are a feature as well.
_SAMPLE = (1, 32 * 32 * 4)


class Recipe(typing.NamedTuple):
    """Sizes of a training step of the image recipe on latents.

    Attributes:
        hidden_dim: int, the width of the DiT.
        depth: int, its blocks.
        num_heads: int.
        base_channels: int, the width of the encoder.
        groups: int, groups in a batch.
        generated: int, generated samples of a group.
        positives: int, positives of a group.
        unconditional: int, unconditional samples of a group.
        dtype: str, of generator and encoder.
        num_blocks: tuple, the blocks of the encoder.
    """

    hidden_dim: int
    depth: int
    num_heads: int
    base_channels: int
    groups: int
    generated: int
    positives: int
    unconditional: int
    dtype: str = "mixed_bfloat16"
    num_blocks: tuple = (3, 4, 6, 3)


class Counts(typing.NamedTuple):
    """A step of a recipe, by sample or group.

    Attributes:
        generator: dict, see `network_counts`: of the gradient with respect to
            the weights.
        encoder: dict, the same: of the gradient with respect to the samples.
        features: list of `(tokens, dim)`.
        field: float, operations of the field of one group, all features.
    """

    generator: dict
    encoder: dict
    features: list
    field: float

    @property
    def feature_numbers(self):
        """The numbers in the features of one sample."""
        return sum(tokens * dim for tokens, dim in self.features)


def count(recipe):
    """The `Counts` of a recipe."""
    widths = _WIDTHS
    if recipe.base_channels in widths:
        widths = (recipe.base_channels,)
    found = [_encoder_counts(recipe, width) for width in widths]
    encoder = continued(
        widths, [each for each, _ in found], recipe.base_channels
    )
    features = _features_at(widths, [f for _, f in found], recipe.base_channels)
    features = [*features, _SAMPLE]
    generator = count_generator(recipe)
    return Counts(generator, encoder, features, _field_of(recipe, features))


def count_generator(recipe):
    """Those of the generator alone, see `network_counts`."""
    found = [counts_at_depth(recipe, depth) for depth in _DEPTHS]
    return continued(_DEPTHS, found, recipe.depth)


def dit(recipe, depth):
    """The DiT of a recipe, with another number of blocks."""
    return kd.generators.DiT(
        (32, 32, 4),
        num_classes=1000,
        patch_size=2,
        hidden_dim=recipe.hidden_dim,
        depth=depth,
        num_heads=recipe.num_heads,
        num_context_tokens=16,
        num_style_tokens=32,
        dtype=recipe.dtype,
    )


def drift():
    """The drift of the published recipes."""
    return kd.drifts.KernelDrift(
        kd.kernels.Laplacian([0.02, 0.05, 0.2]), "official_dual"
    )


def step(recipe):
    """A function that takes one training step of a recipe, on resident data."""
    encoder = kd.encoders.MAEResNet(
        4,
        base_channels=recipe.base_channels,
        num_blocks=recipe.num_blocks,
        dtype=recipe.dtype,
    )
    model = kd.DriftModel(
        dit(recipe, recipe.depth),
        drift(),
        kd.encoders.Union([encoder], include_samples=True),
        num_generated=recipe.generated,
        guidance_sampler=kd.training.PowerLawGuidance(),
        seed=0,
    )
    model.compile(
        keras.optimizers.AdamW(
            1e-4, global_clipnorm=2.0, use_ema=True, ema_momentum=0.999
        )
    )
    rng = np.random.default_rng(0)

    def draw(size):
        shape = recipe.groups, size, 32, 32, 4
        return rng.standard_normal(shape, "float32")

    samples = {
        "positives": draw(recipe.positives),
        "unconditional": draw(recipe.unconditional),
    }
    labels = np.arange(recipe.groups)
    return lambda: model.train_on_batch(samples, labels)


def stateless(network):
    """A function of values and inputs, and the shapes of the values."""

    def call(values, inputs):
        mapping = list(zip(network.variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return network(inputs)

    return call, [_struct(variable) for variable in network.variables]


def inputs_of(generator, size):
    """The shapes of the inputs of a generator."""
    labels = [0] * size
    inputs = generator.sample_inputs(size, labels=labels, seed=0)
    return {key: _struct(value) for key, value in inputs.items()}


def squares(nest):
    """A scalar that depends on all that is in a nest."""
    leaves = jax.tree.leaves(nest)
    return sum(jnp.sum(jnp.square(x.astype("float32"))) for x in leaves)


def generator_gradient(generator):
    """The gradient with respect to the floats among the weights."""
    call, values = stateless(generator)
    is_float = [jnp.issubdtype(v.dtype, jnp.floating) for v in values]

    def gradient(values, inputs):
        def loss(floats):
            floats = iter(floats)
            merged = [
                next(floats) if is_one else value
                for value, is_one in zip(values, is_float, strict=True)
            ]
            return squares(call(merged, inputs))

        return jax.grad(loss)(
            [v for v, ok in zip(values, is_float, strict=True) if ok]
        )

    return gradient, call, values


def counts_at_depth(recipe, depth):
    generator = dit(recipe, depth)
    gradient, call, values = generator_gradient(generator)
    inputs = inputs_of(generator, _BATCH)
    more = inputs_of(generator, 2 * _BATCH)
    return network_counts(
        generator,
        _operations(call, values, inputs),
        _operations(gradient, values, inputs),
        _residuals(lambda v: call(v, _zeros(more)), values)
        - _residuals(lambda v: call(v, _zeros(inputs)), values),
    )


def _encoder_counts(recipe, width):
    encoder = kd.encoders.MAEResNet(
        4,
        base_channels=width,
        num_blocks=recipe.num_blocks,
        dtype=recipe.dtype,
    )
    kd.encoders.build(encoder, (32, 32, 4))
    call, values = stateless(encoder)
    samples, more = (
        jax.ShapeDtypeStruct((size, 32, 32, 4), "float32")
        for size in (_BATCH, 2 * _BATCH)
    )

    def gradient(values, samples):
        return jax.grad(lambda x: squares(call(values, x)))(samples)

    def residuals(samples):
        return _residuals(lambda x, v: call(v, x), samples, values)

    shapes = jax.eval_shape(call, values, samples)
    features = [(f.shape[1], f.shape[2]) for f in shapes.values()]
    counts = network_counts(
        encoder,
        _operations(call, values, samples),
        _operations(gradient, values, samples),
        residuals(more) - residuals(samples),
    )
    return counts, features


def network_counts(network, forward, gradient, residuals):
    """Counts of a network, the last three of them for one sample.

    Returns:
        A dict: `parameters`; `forward` and `gradient`, operations, the latter
        with the forward pass; `residuals`, bytes that the backward pass needs
        of the forward pass.
    """
    return {
        "parameters": network.count_params(),
        "forward": forward / _BATCH,
        "gradient": gradient / _BATCH,
        "residuals": residuals / _BATCH,
    }


def _field_of(recipe, features):
    """Operations of the field of one group: of line in the dimension."""
    found = [_field_counts(recipe, dim) for dim in _DIMS]
    slope = (found[1] - found[0]) / (_DIMS[1] - _DIMS[0])
    constant = found[0] - slope * _DIMS[0]
    return sum(tokens * (constant + slope * dim) for tokens, dim in features)


def _field_counts(recipe, dim):
    def struct(size):
        return jax.ShapeDtypeStruct((_PROBLEMS, size, dim), "float32")

    def velocity(x, positives, unconditional):
        weights = jnp.ones(unconditional.shape[:2])
        return (
            drift()
            .field(
                x,
                positives,
                unconditional=unconditional,
                unconditional_weights=weights,
            )
            .velocity
        )

    sizes = recipe.generated, recipe.positives, recipe.unconditional
    compiled = jax.jit(velocity).lower(*map(struct, sizes)).compile()
    return compiled_cost.count(compiled).operations / _PROBLEMS


def continued(sizes, counts, size):
    """Counts at another size, on the polynomial through the given ones."""
    return {
        key: _on_polynomial(sizes, [each[key] for each in counts], size)
        for key in counts[0]
    }


def _features_at(widths, features, width):
    """Tokens and dimensions of the features at another width."""
    return [
        (same[0][0], round(_on_polynomial(widths, [d for _, d in same], width)))
        for same in zip(*features, strict=True)
    ]


def _on_polynomial(sizes, values, size):
    if len(sizes) == 1:
        return values[0]
    return float(np.polyval(np.polyfit(sizes, values, len(sizes) - 1), size))


def _operations(function, *args):
    return jax.jit(function).lower(*args).cost_analysis()["flops"]


def _residuals(function, x, *others):
    """Bytes that the backward pass of a function needs."""

    def backward(x, *others):
        return jax.vjp(lambda x: function(x, *others), x)[1]

    leaves = jax.tree.leaves(jax.eval_shape(backward, x, *others))
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in leaves)


def _zeros(structs):
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), structs)


def _struct(x):
    return jax.ShapeDtypeStruct(tuple(x.shape), str(x.dtype))
