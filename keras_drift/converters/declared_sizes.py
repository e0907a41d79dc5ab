"""Compares a declared network with the weights, before it takes memory."""

import math

from keras_drift import checks
from keras_drift.converters import shapes

_GENERATOR_SIZES = (
    "num_classes",
    "patch_size",
    "hidden_dim",
    "depth",
    "cond_dim",
    "noise_channels",
)


def check_generator(config, arrays):
    """Refuses the configuration of a generator that its arrays do not have.

    These arrays bound the memory of the network; `official_dit.assign` compares
    all of them.

    Args:
        config: dict, the arguments of `generators.DiT`.
        arrays: dict from the paths of the release to arrays.
    """
    for name in _GENERATOR_SIZES:
        checks.positive_integer(name, config[name])
    shapes.check(
        _arrays_of(config),
        {name: array.shape for name, array in arrays.items()},
        may_hold=lambda name: True,
    )


def _arrays_of(config):
    """Yields names and shapes of the arrays that the sizes decide on."""
    height, width, channels = config["image_shape"]
    dim, cond_dim = config["hidden_dim"], config["cond_dim"]
    patch = config["patch_size"]
    yield "Embed_0/embedding", (config["num_classes"], cond_dim)
    guidance = "TimestepEmbedder_0/TorchLinear_1/Dense_0/kernel"
    yield guidance, (cond_dim, cond_dim)
    for i in range(config.get("num_style_tokens", 0)):
        size = config["style_codebook_size"]
        yield f"noise_embeds_{i}/embedding", (size, cond_dim)
    tokens = (height // patch) * (width // patch)
    values = patch**2 * config["noise_channels"]
    transformer = "LightningDiT_0"
    yield f"{transformer}/pos_embed", (1, tokens, dim)
    yield f"{transformer}/TorchLinear_0/Dense_0/kernel", (values, dim)
    if config["num_context_tokens"]:
        count = config["num_context_tokens"]
        yield f"{transformer}/cls_embed", (1, count, dim)
    for i in range(config["depth"]):
        yield from _arrays_of_block(config, f"{transformer}/blocks_{i}")
    last = f"{transformer}/FinalLayer_0/TorchLinear_1/Dense_0/kernel"
    yield last, (dim, patch**2 * channels)


def _arrays_of_block(config, block):
    dim = config["hidden_dim"]
    width = int(dim * config["mlp_ratio"])
    feed_forward = "StandardMLP_0"
    if config["use_swiglu"]:
        feed_forward = "SwiGLUFFN_0"
        width = math.ceil(int(2 / 3 * width) / 32) * 32
    kernel = "TorchLinear_0/Dense_0/kernel"
    yield f"{block}/{kernel}", (config["cond_dim"], 6 * dim)
    yield f"{block}/Attention_0/{kernel}", (dim, 3 * dim)
    yield f"{block}/{feed_forward}/{kernel}", (dim, width)
