"""Converts feature encoders of the official release to `MAEResNet`.

Where the release keeps what our constructors take (its `patch_size` counts
pixels after the folding of `input_patch_size`):

| official `model_config` | ours |
|---|---|
| `in_channels` | `image_channels` of `MAEResNet` |
| `base_channels` | `base_channels` |
| `layers` | `num_blocks` |
| `input_patch_size` | `patch_size` |
| `dropout_prob` | `dropout` |
| `num_classes` | `num_classes` of `MaskedAutoencoder` |
| `patch_size` times `input_patch_size` | `mask_patch_size` of the same |
| `use_bf16` | nothing: weights and features are float32 |
"""

import numpy as np

from keras_drift import checks
from keras_drift.converters import shapes

# The official defaults; a released artifact leaves `num_classes` out.
_DEFAULTS = {
    "num_classes": 1000,
    "in_channels": 3,
    "base_channels": 64,
    "patch_size": 4,
    "dropout_prob": 0.0,
    "layers": (2, 2, 2, 2),
    "use_bf16": False,
    "input_patch_size": 1,
}
_INTEGERS = (
    "num_classes",
    "in_channels",
    "base_channels",
    "patch_size",
    "input_patch_size",
)
_PARTS = {"encoder", "decoder", "fc"}
_JOINS = ("up43", "up32", "up21", "up10")


def config_of(metadata):
    """The arguments of the `MAEResNet` that an official artifact describes.

    Args:
        metadata: dict, the `metadata.json` of the artifact.

    Returns:
        A dict of constructor arguments.
    """
    official = _model_config(metadata)
    return {
        "image_channels": official["in_channels"],
        "base_channels": official["base_channels"],
        "num_blocks": list(official["layers"]),
        "patch_size": official["input_patch_size"],
        "dropout": official["dropout_prob"],
    }


def autoencoder_config_of(metadata):
    """The arguments, beside the encoder, of its `MaskedAutoencoder`.

    Args:
        metadata: dict, the `metadata.json` of the artifact.

    Returns:
        A dict of constructor arguments.
    """
    official = _model_config(metadata)
    return {
        "num_classes": official["num_classes"],
        "mask_patch_size": official["patch_size"]
        * official["input_patch_size"],
    }


def check(metadata, params):
    """Refuses an artifact whose configuration and weights disagree.

    It builds no model, so a configuration that claims to be huge costs nothing.
    Decoder and classifier, which an encoder does without, are not looked at.

    Args:
        metadata: dict, the `metadata.json` of the artifact.
        params: dict from official paths to NumPy arrays.
    """
    _compare(_encoder_shapes(config_of(metadata)), params)


def assign(model, params):
    """Gives a model the official weights.

    Args:
        model: a `MAEResNet`, which takes the weights of the encoder and ignores
            those of decoder and classifier; or a `MaskedAutoencoder`, which
            takes them all.
        params: dict from official paths, such as `"encoder/conv1/kernel"`, to
            NumPy arrays.
    """
    variables = variables_of(model)
    _compare(((name, v.shape) for name, v in variables.items()), params)
    for name, variable in variables.items():
        variable.assign(np.asarray(params[name], "float32"))


def _compare(expected, params):
    """Refuses arrays other than those expected.

    Of the parts of a model (encoder, decoder, fc), those of which none is
    expected may be among the arrays or not.
    """
    parts = set()

    def noting_parts():
        for name, shape in expected:
            parts.add(name.partition("/")[0])
            yield name, shape

    shapes.check(
        noting_parts(),
        {name: array.shape for name, array in params.items()},
        may_hold=lambda name: name.partition("/")[0] in _PARTS - parts,
    )


def _encoder_shapes(config):
    """Yields names and shapes of the arrays of the encoder."""
    base = config["base_channels"]
    channels = config["image_channels"] * config["patch_size"] ** 2
    yield "encoder/conv1/kernel", (3, 3, channels, base)
    yield from _norm_shapes("encoder/gn1", base)
    channels = base
    for stage, count in enumerate(config["num_blocks"]):
        width = base * 2**stage
        for index in range(count):
            block = f"encoder/stages_{stage}/layers_{index}"
            yield f"{block}/conv1/kernel", (3, 3, channels, width)
            yield from _norm_shapes(f"{block}/gn1", width)
            yield f"{block}/conv2/kernel", (3, 3, width, width)
            yield from _norm_shapes(f"{block}/gn2", width)
            if stage > 0 and index == 0:
                yield f"{block}/proj_conv/kernel", (1, 1, channels, width)
                yield from _norm_shapes(f"{block}/proj_gn", width)
            channels = width
        yield from _norm_shapes(f"encoder/layer{stage + 1}_norm", width)


def _norm_shapes(name, width):
    return [(f"{name}/scale", (width,)), (f"{name}/bias", (width,))]


def _model_config(metadata):
    """The official configuration, checked, with its defaults filled in."""
    found = metadata.get("model_config")
    if not isinstance(found, dict) or metadata.get("kind", "mae") != "mae":
        raise ValueError(
            "The metadata of a feature encoder have the kind 'mae' and a "
            "`model_config`. Received: "
            f"kind={metadata.get('kind')!r}, model_config={found!r}"
        )
    for name in found:
        if name not in _DEFAULTS:
            raise ValueError(
                "The `model_config` of a feature encoder has no such entry: "
                f"{name!r}.{checks.did_you_mean(name, list(_DEFAULTS))}"
            )
    official = {**_DEFAULTS, **found}
    if not isinstance(official["layers"], (list, tuple)):
        raise ValueError(
            "`layers` of a `model_config` are the blocks of each stage. "
            f"Received: layers={official['layers']!r}"
        )
    for name in _INTEGERS:
        checks.positive_integer(name, official[name])
    for count in official["layers"]:
        checks.positive_integer("layers", count)
    return official


def variables_of(model):
    """The variables of a model by their official paths: a dict."""
    encoder = getattr(model, "encoder", model)
    network = encoder.network
    layers = {"encoder/conv1": network.conv, "encoder/gn1": network.norm}
    for stage, blocks in enumerate(network.stages):
        for index, block in enumerate(blocks):
            path = f"encoder/stages_{stage}/layers_{index}"
            layers |= _block_layers(path, block)
        norm = network.stage_norms[stage]
        layers[f"encoder/layer{stage + 1}_norm"] = norm
    if model is not encoder:
        layers |= _head_layers(model)
    weights = {"kernel": "kernel", "gamma": "scale", "beta": "bias"}
    weights["bias"] = "bias"
    return {
        f"{path}/{weights[variable.name]}": variable
        for path, layer in layers.items()
        for variable in layer.variables
    }


def _block_layers(path, block):
    layers = {
        f"{path}/conv1": block.conv1,
        f"{path}/gn1": block.norm1,
        f"{path}/conv2": block.conv2,
        f"{path}/gn2": block.norm2,
    }
    if block.halve:
        layers[f"{path}/proj_conv"] = block.shortcut
        layers[f"{path}/proj_gn"] = block.shortcut_norm
    return layers


def _head_layers(model):
    decoder = model.decoder
    convs = {"decoder/bridge": decoder.bridge}
    layers = {"decoder/head": decoder.head}
    for name, join in zip(_JOINS, decoder.joins, strict=True):
        layers[f"decoder/{name}/concat_norm_fn"] = join.norm
        convs[f"decoder/{name}/proj"] = join.project
        convs[f"decoder/{name}/refine"] = join.refine
    for path, convolution in convs.items():
        layers[f"{path}/conv"] = convolution.conv
        layers[f"{path}/gn"] = convolution.norm
    if model.num_classes is not None:
        layers["fc"] = model.classifier
    return layers
