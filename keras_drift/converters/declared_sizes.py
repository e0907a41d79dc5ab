"""Compares a declared network with the weights, before it takes memory."""

import math

from keras_drift import checks

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
    height, width, channels = config["image_shape"]
    dim, cond_dim = config["hidden_dim"], config["cond_dim"]
    patch = config["patch_size"]
    _check(arrays, "Embed_0/embedding", config["num_classes"], cond_dim)
    _check(
        arrays,
        "TimestepEmbedder_0/TorchLinear_1/Dense_0/kernel",
        cond_dim,
        cond_dim,
    )
    for i in range(config.get("num_style_tokens", 0)):
        size = config["style_codebook_size"]
        _check(arrays, f"noise_embeds_{i}/embedding", size, cond_dim)
    tokens = (height // patch) * (width // patch)
    values = patch**2 * config["noise_channels"]
    transformer = "LightningDiT_0"
    _check(arrays, f"{transformer}/pos_embed", 1, tokens, dim)
    _check(arrays, f"{transformer}/TorchLinear_0/Dense_0/kernel", values, dim)
    if config["num_context_tokens"]:
        count = config["num_context_tokens"]
        _check(arrays, f"{transformer}/cls_embed", 1, count, dim)
    for i in range(config["depth"]):
        _check_block(config, arrays, f"{transformer}/blocks_{i}")
    last = f"{transformer}/FinalLayer_0/TorchLinear_1/Dense_0/kernel"
    _check(arrays, last, dim, patch**2 * channels)


def _check_block(config, arrays, block):
    dim = config["hidden_dim"]
    width = int(dim * config["mlp_ratio"])
    feed_forward = "StandardMLP_0"
    if config["use_swiglu"]:
        feed_forward = "SwiGLUFFN_0"
        width = math.ceil(int(2 / 3 * width) / 32) * 32
    kernel = "TorchLinear_0/Dense_0/kernel"
    _check(arrays, f"{block}/{kernel}", config["cond_dim"], 6 * dim)
    _check(arrays, f"{block}/Attention_0/{kernel}", dim, 3 * dim)
    _check(arrays, f"{block}/{feed_forward}/{kernel}", dim, width)


def _check(arrays, name, *shape):
    if name not in arrays:
        raise ValueError(
            "The weights are not those of the configuration, which describes a "
            f"network with `{name}` of shape {shape}. Received: weights "
            f"without `{name}`"
        )
    received = tuple(arrays[name].shape)
    if received != shape:
        raise ValueError(
            f"The weights are not those of the configuration: `{name}` is "
            f"{shape} in the network that it describes. "
            f"Received: {name}.shape={received}"
        )
