"""Stable Diffusion's autoencoder in the format of the package diffusers.

A folder with `config.json` and `diffusion_pytorch_model.safetensors`. Weights
are data: nothing of a file is executed, and its shapes are compared with those
of the network before any array is made.
"""

import pathlib

import numpy as np

from keras_drift import autoencoders
from keras_drift import extras
from keras_drift import json_file
from keras_drift.converters import shapes as network_shapes
from keras_drift.presets import hub
from keras_drift.presets.preset_mixin import class_for

CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
# The network of keras-cv has no other sizes; diffusers leaves out defaults.
_FIXED = {
    "_class_name": ("AutoencoderKL", None),
    "act_fn": ("silu", "silu"),
    "block_out_channels": ([128, 256, 512, 512], [64]),
    "in_channels": (3, 3),
    "latent_channels": (4, 4),
    "layers_per_block": (2, 1),
    "mid_block_add_attention": (True, True),
    "norm_num_groups": (32, 32),
    "out_channels": (3, 3),
    "shift_factor": (None, None),
    "use_post_quant_conv": (True, True),
    "use_quant_conv": (True, True),
}
_SCALE = 0.18215
_SIZES = {CONFIG: 1_000, WEIGHTS: 335_000_000}
_DTYPES = ("F16", "F32", "F64")
# The layers with weights, in the order in which they are called.
_ENCODER = (
    "encoder.conv_in",
    *(
        f"encoder.down_blocks.{block}.{layer}"
        for block in range(4)
        for layer in ("resnets.0", "resnets.1", "downsamplers.0.conv")
        if (block, layer) != (3, "downsamplers.0.conv")
    ),
    "encoder.mid_block.resnets.0",
    "encoder.mid_block.attentions.0",
    "encoder.mid_block.resnets.1",
    "encoder.conv_norm_out",
    "encoder.conv_out",
    "quant_conv",
)
_DECODER = (
    "post_quant_conv",
    "decoder.conv_in",
    "decoder.mid_block.resnets.0",
    "decoder.mid_block.attentions.0",
    "decoder.mid_block.resnets.1",
    *(
        f"decoder.up_blocks.{block}.{layer}"
        for block in range(4)
        for layer in (
            "resnets.0",
            "resnets.1",
            "resnets.2",
            "upsamplers.0.conv",
        )
        if (block, layer) != (3, "upsamplers.0.conv")
    ),
    "decoder.conv_norm_out",
    "decoder.conv_out",
)
# Parts of a block: its attribute here, and its names there. Attention has two,
# those of diffusers before version 0.15 and those since.
_RESIDUAL = {
    "norm1": ("norm1",),
    "conv1": ("conv1",),
    "norm2": ("norm2",),
    "conv2": ("conv2",),
    "residual_projection": ("conv_shortcut",),
}
_ATTENTION = {
    "norm": ("group_norm",),
    "q": ("to_q", "query"),
    "k": ("to_k", "key"),
    "v": ("to_v", "value"),
    "proj_out": ("to_out.0", "proj_attn"),
}


def load(cls, preset, load_weights=True, **arguments):
    """Makes an autoencoder from published files.

    Args:
        cls: the class of autoencoders that is asked for.
        preset: `"hf://owner/name"`, or a folder.
        load_weights: bool, whether to load the weights too.
        **arguments: of the constructor.

    Returns:
        An `autoencoders.StableDiffusion`; or `None`, if the preset is one of
        this library.
    """
    files = _find(preset, load_weights)
    if files is None:
        return None
    cls = class_for(cls, autoencoders.StableDiffusion, preset)
    config, weights = files
    autoencoder = cls(**{**read_config(config), **arguments})
    if load_weights:
        assign(autoencoder, weights)
    return autoencoder


def _find(preset, load_weights):
    """The paths of config and weights, fetched if need be; or `None`."""
    if not hub.is_handle(preset):
        folder = pathlib.Path(preset).expanduser()
        found = (folder / WEIGHTS).is_file()
        return (folder / CONFIG, folder / WEIGHTS) if found else None
    repository, revision = hub.parse(preset)
    config = hub.fetch(repository, CONFIG, revision, _SIZES[CONFIG])
    # Keras writes the class into the config of a preset of this library.
    if "class_name" in _json(config):
        return None
    if not load_weights:
        return config, None
    return config, hub.fetch(repository, WEIGHTS, revision, _SIZES[WEIGHTS])


def read_config(path):
    """The arguments of the autoencoder that a config describes.

    Args:
        path: `pathlib.Path` of `config.json`.

    Returns:
        A dict for `autoencoders.StableDiffusion`.
    """
    config = _json(path)
    for name, (expected, default) in _FIXED.items():
        if config.get(name, default) != expected:
            raise ValueError(
                "This is not the autoencoder of Stable Diffusion 1 and 2: its "
                f"{name!r} is {expected!r}. Received: "
                f"{config.get(name, default)!r} in {str(path)!r}"
            )
    return {"scale": config.get("scaling_factor", _SCALE)}


def _json(path):
    try:
        return json_file.read(path)
    except (OSError, ValueError) as error:
        raise ValueError(
            "This file should be the config of an `AutoencoderKL` of the "
            f"package diffusers. Received: {str(path)!r} ({error})"
        ) from error


def assign(autoencoder, path):
    """Assigns the weights of a file to an autoencoder.

    Nothing is assigned unless all names and shapes agree.

    Args:
        autoencoder: an `autoencoders.StableDiffusion`.
        path: `pathlib.Path` of a safetensors file.
    """
    safetensors = extras.load(
        "safetensors", "Published weights", "safetensors", "hub"
    )
    try:
        with safetensors.safe_open(path, framework="numpy") as tensors:
            values = _matched(autoencoder, tensors, path)
    except safetensors.SafetensorError as error:
        raise ValueError(
            "This safetensors file is damaged or incomplete. Delete it and "
            f"fetch it again. Received: {str(path)!r} ({error})"
        ) from error
    for variable, value in values:
        variable.assign(value)


def _matched(autoencoder, tensors, path):
    """Pairs of variables and arrays."""
    names = tensors.keys()
    received = {
        name: tuple(tensors.get_slice(name).get_shape()) for name in names
    }
    found = {}
    for layer, candidates in _layers(autoencoder):
        for variable, suffix in _variables(layer):
            options = [f"{prefix}.{suffix}" for prefix in candidates]
            name = next((o for o in options if o in received), options[0])
            found[name] = variable
    try:
        network_shapes.check(
            (
                (name, _their_shape(variable, received.get(name)))
                for name, variable in found.items()
            ),
            received,
        )
        for name in found:
            dtype = tensors.get_slice(name).get_dtype()
            if dtype not in _DTYPES:
                raise ValueError(
                    f"Weights are of type {', '.join(_DTYPES)}. "
                    f"Received: {name!r} of type {dtype}"
                )
    except ValueError as error:
        raise ValueError(f"{error} in {str(path)!r}") from error
    return [
        (variable, _ours(tensors.get_tensor(name)))
        for name, variable in found.items()
    ]


def _their_shape(variable, received):
    """The shape there of a variable; of a projection, the one received."""
    shape = tuple(variable.shape)
    if len(shape) == 4:
        shape = (*shape[:1:-1], *shape[:2])
    # Projections of attention are matrices there, convolutions here.
    return shape[:2] if received == shape[:2] and shape[2:] == (1, 1) else shape


def _ours(array):
    """A kernel `(out, in, height, width)` as `(height, width, in, out)`."""
    array = array.astype("float32", copy=False)
    if array.ndim == 2:
        array = array[:, :, None, None]
    return np.transpose(array, (2, 3, 1, 0)) if array.ndim == 4 else array


def _variables(layer):
    """The variables of a layer, and their names there."""
    if hasattr(layer, "gamma"):
        return (layer.gamma, "weight"), (layer.beta, "bias")
    return (layer.kernel, "weight"), (layer.bias, "bias")


def _layers(autoencoder):
    """The convolutions and norms, and the names that each may have there."""
    for network, prefixes in (
        (autoencoder.encoder, _ENCODER),
        (autoencoder.decoder, _DECODER),
    ):
        layers = [layer for layer in network.layers if layer.weights]
        for layer, prefix in zip(layers, prefixes, strict=True):
            yield from _parts(layer, prefix)


def _parts(layer, prefix):
    parts = {}
    if hasattr(layer, "norm1"):
        parts = _RESIDUAL
    elif hasattr(layer, "q"):
        parts = _ATTENTION
    for attribute, names in parts.items():
        part = getattr(layer, attribute)
        if hasattr(part, "weights"):  # the identity has none
            candidates = [f"{prefix}.{name}" for name in names]
            yield getattr(part, "conv2d", part), candidates
    if not parts:
        yield getattr(layer, "conv2d", layer), [prefix]
