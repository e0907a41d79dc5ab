"""Configuration and weights of the generators of the official release."""

import re

import numpy as np

from keras_drift.converters import shapes

# The names of the release for our constructor's, where a value is passed on.
_ARGUMENTS = {
    "num_classes": "num_classes",
    "patch_size": "patch_size",
    "hidden_size": "hidden_dim",
    "depth": "depth",
    "num_heads": "num_heads",
    "mlp_ratio": "mlp_ratio",
    "cond_dim": "cond_dim",
    "n_cls_tokens": "num_context_tokens",
    "in_channels": "noise_channels",
    "use_rmsnorm": "use_rmsnorm",
    "use_qknorm": "use_qknorm",
    "use_swiglu": "use_swiglu",
    "use_rope": "use_rope",
    "attn_fp32": "float32_attention",
    "use_remat": "remat",
}
# What the release takes where a configuration does not say.
_DEFAULTS = {
    "num_classes": 1001,
    "noise_classes": 0,
    "noise_coords": 1,
    "input_size": 32,
    "in_channels": 3,
    "n_cls_tokens": 0,
    "patch_size": 2,
    "hidden_size": 1152,
    "depth": 28,
    "num_heads": 16,
    "mlp_ratio": 4.0,
    "out_channels": 3,
    "use_qknorm": False,
    "use_swiglu": False,
    "use_rope": False,
    "use_rmsnorm": False,
    "use_bf16": False,
    "attn_fp32": True,
    "use_remat": False,
}
# Where the release keeps the layers of our network; `#` counts the blocks.
_LAYERS = {
    "condition/classes": "Embed_0",
    "condition/guidance_in": "TimestepEmbedder_0/TorchLinear_0/Dense_0",
    "condition/guidance_out": "TimestepEmbedder_0/TorchLinear_1/Dense_0",
    "condition/guidance_norm": "RMSNorm_0",
    "patches": "LightningDiT_0/TorchLinear_0/Dense_0",
    "context/dense": "LightningDiT_0/TorchLinear_1/Dense_0",
    "block_#/modulation/dense": "blocks_#/TorchLinear_0/Dense_0",
    "block_#/attention_norm": "blocks_#/RMSNorm_0",
    "block_#/attention/to_qkv": "blocks_#/Attention_0/TorchLinear_0/Dense_0",
    "block_#/attention/q_norm": "blocks_#/Attention_0/q_norm",
    "block_#/attention/k_norm": "blocks_#/Attention_0/k_norm",
    "block_#/attention/project": "blocks_#/Attention_0/TorchLinear_1/Dense_0",
    "block_#/feed_forward_norm": "blocks_#/RMSNorm_1",
    "last_modulation/dense": "FinalLayer_0/TorchLinear_0/Dense_0",
    "last_norm": "FinalLayer_0/RMSNorm_0",
    "to_pixels": "FinalLayer_0/TorchLinear_1/Dense_0",
}
_GATED = {
    "block_#/feed_forward/gate": "blocks_#/SwiGLUFFN_0/TorchLinear_0/Dense_0",
    "block_#/feed_forward/up": "blocks_#/SwiGLUFFN_0/TorchLinear_1/Dense_0",
    "block_#/feed_forward/down": "blocks_#/SwiGLUFFN_0/TorchLinear_2/Dense_0",
}
_UNGATED = {
    "block_#/feed_forward/up": "blocks_#/StandardMLP_0/TorchLinear_0/Dense_0",
    "block_#/feed_forward/down": "blocks_#/StandardMLP_0/TorchLinear_1/Dense_0",
}
# What the release calls the weights of a layer, where the name differs.
_WEIGHTS = {
    "embeddings": "embedding",
    "scale": "weight",
    "gamma": "scale",
    "beta": "bias",
}
# Weights that no other layer owns.
_TABLES = {
    "positions/table": "LightningDiT_0/pos_embed",
    "context/embedding": "LightningDiT_0/cls_embed",
}


def config_of(metadata):
    """Converts the metadata of a released generator to arguments of `DiT`.

    The released networks compute in bfloat16 if `use_bf16` says so, from
    float32 weights; here that is the choice of Keras' dtype policy.

    Args:
        metadata: dict, the content of its `metadata.json`.

    Returns:
        A dict of arguments for `generators.DiT`.
    """
    theirs = metadata.get("model_config")
    if metadata.get("kind", "gen") != "gen" or not isinstance(theirs, dict):
        raise ValueError(
            "The metadata of a released generator has `kind` 'gen' and a dict "
            f"`model_config`. Received: kind={metadata.get('kind')!r}, "
            f"model_config of type {type(theirs).__name__}"
        )
    unknown = sorted(set(theirs) - set(_DEFAULTS) - {"cond_dim"})
    if unknown or "cond_dim" not in theirs:
        raise ValueError(
            "`model_config` names the arguments of the released generator: "
            f"`cond_dim`, and any of {', '.join(_DEFAULTS)}. "
            f"Received: {sorted(theirs)}, of which {unknown} are unknown"
        )
    theirs = {**_DEFAULTS, **theirs}
    config = {ours: theirs[name] for name, ours in _ARGUMENTS.items()}
    side = theirs["input_size"]
    config["image_shape"] = [side, side, theirs["out_channels"]]
    if theirs["noise_classes"]:
        config["num_style_tokens"] = theirs["noise_coords"]
        config["style_codebook_size"] = theirs["noise_classes"]
    return config


def assign(model, params):
    """Assigns the weights of a released generator to a `DiT`.

    Nothing is assigned unless every array has its variable, of the same shape,
    and every variable its array.

    Args:
        model: `generators.DiT`, of the arguments that `config_of` returns.
        params: dict from the paths of the released parameters, joined by `/`,
            to float arrays.
    """
    sources = [(v, _released_names(v, model)) for v in model.variables]
    expected = {
        name: tuple(variable.shape)
        if len(names) == 1
        else (variable.shape[0] // len(names), *variable.shape[1:])
        for variable, names in sources
        for name in names
    }
    _check(expected, params)
    for variable, names in sources:
        arrays = [np.asarray(params[name]) for name in names]
        variable.assign(
            arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        )


def _check(expected, params):
    """Raises unless the arrays have exactly these names and shapes."""
    shapes.check(
        expected.items(), {name: array.shape for name, array in params.items()}
    )
    for name in expected:
        array = params[name]
        if np.dtype(array.dtype).kind != "f":
            raise ValueError(
                "Released weights are float arrays. "
                f"Received: {name}.dtype={array.dtype}"
            )


def _released_names(variable, model):
    """The paths of the arrays that make up a variable."""
    config = model.get_config()
    if variable.path == "condition/styles/embeddings":
        # One table here, one for each code there.
        codes = range(config["num_style_tokens"])
        return [f"noise_embeds_{k}/embedding" for k in codes]
    return [_released_path(variable.path, config["use_swiglu"])]


def _released_path(path, use_swiglu):
    """`block_1/attention_norm/scale` is `.../blocks_1/RMSNorm_0/weight`."""
    if path in _TABLES:
        return _TABLES[path]
    layer, _, weight = path.rpartition("/")
    number = re.search(r"block_(\d+)", layer)
    if number:
        layer = layer.replace(number[0], "block_#")
    layers = _LAYERS | (_GATED if use_swiglu else _UNGATED)
    if layer not in layers:
        raise ValueError(
            "The released generators have nothing like this weight: they are "
            "conditional on a class. Build the network from `config_of`. "
            f"Received: a network with the weight '{path}'"
        )
    name = f"{layers[layer]}/{_WEIGHTS.get(weight, weight)}"
    if number:
        name = name.replace("#", number[1])
    inside = name.startswith(("blocks_", "FinalLayer_0"))
    return f"LightningDiT_0/{name}" if inside else name
