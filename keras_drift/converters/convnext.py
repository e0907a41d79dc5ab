"""ConvNeXt V2 in the format of the package transformers.

A folder with `config.json` and `model.safetensors`. Weights are data: nothing
in a file is executed, and the shapes that it declares are compared with those
of the config before any array is made.
"""

import itertools
import pathlib
import re

import numpy as np

from keras_drift import encoders
from keras_drift import extras
from keras_drift import json_file
from keras_drift.converters import shapes as network_shapes
from keras_drift.presets import hub
from keras_drift.presets.preset_mixin import class_for

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
# What all of these networks have in common; transformers leaves defaults out.
_FIXED = {
    "num_channels": 3,
    "patch_size": 4,
    "num_stages": 4,
    "hidden_act": "gelu",
}
_CLASSIFIER = "classifier."  # which an encoder does without
_BLOCKS = re.compile(r"convnextv2\.encoder\.stages\.(\d)\.layers\.\d+\.dwconv")
_NUM_BYTES_OF_BASE = 355_000_000


def load(cls, preset, load_weights=True, **arguments):
    """Makes an encoder from published files.

    Args:
        cls: the class of encoders that is asked for.
        preset: `"hf://owner/name"`, a folder, or a `.safetensors` file.
        load_weights: bool, whether to load the weights too.
        **arguments: of the constructor.

    Returns:
        An `encoders.ConvNeXtV2`; or `None`, if the preset is one of this
        library.
    """
    files = find(preset, load_weights)
    if files is None:
        return None
    cls = class_for(cls, encoders.ConvNeXtV2, preset)
    config, tensors = read(*files, load_weights)
    encoder = cls(**{**config, **arguments})
    encoder.build((None, encoder.image_size, encoder.image_size, 3))
    if load_weights:
        assign(encoder, tensors)
    return encoder


def find(preset, load_weights=True):
    """Finds the files of published weights, or fetches them from the hub.

    Args:
        preset: `"hf://owner/name"`, a folder, or a `.safetensors` file.
        load_weights: bool, whether the weights are needed.

    Returns:
        `(config, weights)`, paths; the config is `None` for a file without
        one, the weights if they are not needed. `None`, if the preset is one
        of this library.
    """
    if hub.is_handle(preset):
        return _fetched(*hub.parse(preset), load_weights)
    path = pathlib.Path(preset).expanduser()
    weights = path / WEIGHTS if path.suffix != ".safetensors" else path
    config = weights.with_name(CONFIG)
    if not weights.is_file():
        if path.suffix != ".safetensors":
            return None
        raise ValueError(
            "Published weights are a folder with `config.json` and "
            "`model.safetensors`, or a `.safetensors` file. "
            f"Received: preset={str(preset)!r}, which does not exist"
        )
    return config if config.is_file() else None, weights


def _fetched(repository, revision, load_weights):
    config = hub.fetch(repository, CONFIG, revision)
    # Keras writes the class into the config of a preset of this library.
    if "class_name" in _named(config, lambda: json_file.read(config)):
        return None
    if not load_weights:
        return config, None
    is_base = "convnextv2-base" in repository
    num_bytes = _NUM_BYTES_OF_BASE if is_base else None
    return config, hub.fetch(repository, WEIGHTS, revision, num_bytes)


def read(config_file, weights_file, load_weights=True):
    """Reads published files.

    Args:
        config_file: `pathlib.Path`; with `None`, the sizes are read from the
            shapes of the weights.
        weights_file: `pathlib.Path`. It may be `None` if it is not needed.
        load_weights: bool, whether to read the weights.

    Returns:
        `(config, tensors)`: the sizes for `encoders.ConvNeXtV2`, and a dict
        from names to NumPy arrays, empty without the weights.
    """
    if config_file is not None:
        config = _named(
            config_file, lambda: config_of(json_file.read(config_file))
        )
        if not load_weights:
            return config, {}
        return config, _named(weights_file, lambda: _load(weights_file, config))
    config = _named(weights_file, lambda: _sizes(_shapes_in(weights_file)))
    return config, _named(weights_file, lambda: _load(weights_file, config))


def config_of(hf_config):
    """The arguments of `encoders.ConvNeXtV2` from a config of transformers.

    Args:
        hf_config: dict.

    Returns:
        A dict with `"depths"` and `"hidden_dims"`.
    """
    expected = {"model_type": "convnextv2", **_FIXED}
    for key, value in expected.items():
        received = hf_config.get(key, _FIXED.get(key))
        if received != value:
            raise ValueError(
                f"ConvNeXt V2 is published with {key}={value!r}. "
                f"Received: {key}={received!r}"
            )
    config = {}
    for ours, theirs in (("depths", "depths"), ("hidden_dims", "hidden_sizes")):
        sizes = hf_config.get(theirs)
        is_list = isinstance(sizes, list) and len(sizes) == 4
        if not is_list or not all(type(s) is int and s > 0 for s in sizes):
            raise ValueError(
                f"`{theirs}` are four positive integers, one for each stage. "
                f"Received: {theirs}={sizes!r:.100}"
            )
        config[ours] = sizes
    return config


def assign(encoder, tensors):
    """Assigns published weights to an encoder.

    Args:
        encoder: a built `encoders.ConvNeXtV2`.
        tensors: dict from names of transformers to NumPy arrays.

    Raises:
        ValueError: if a tensor is missing, unknown or of another shape; then
            nothing is assigned.
    """
    config = encoder.get_config()
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    check_shapes(config, shapes)
    for (name, _), layer in zip(
        _modules(config), _layers(encoder), strict=True
    ):
        for variable, part in zip(
            layer.weights, ("weight", "bias"), strict=True
        ):
            value = np.asarray(tensors[f"{name}.{part}"])
            if value.ndim == 4:  # (out, in, height, width), or of length 1
                value = value.transpose(2, 3, 1, 0)
            elif value.ndim == 2:  # (out, in)
                value = value.T
            variable.assign(value.reshape(variable.shape).astype("float32"))


def check_shapes(config, shapes):
    """Refuses tensors that are not those of a config.

    Args:
        config: dict with `"depths"` and `"hidden_dims"`.
        shapes: dict from the names of the tensors to their shapes.
    """
    network_shapes.check(
        _expected_shapes(config),
        shapes,
        may_hold=lambda name: name.startswith(_CLASSIFIER),
    )


def _expected_shapes(config):
    for name, shape in _modules(config):
        yield f"{name}.weight", shape
        # Of response norms, weight and bias have one shape.
        yield f"{name}.bias", shape if shape[0] == 1 else shape[:1]


def _modules(config):
    """The modules in the order of the layers: names and shapes of weights."""
    previous = 3
    for i, (depth, dim) in enumerate(
        zip(config["depths"], config["hidden_dims"], strict=True)
    ):
        stage = f"convnextv2.encoder.stages.{i}"
        if i == 0:
            stem = "convnextv2.embeddings"
            yield f"{stem}.patch_embeddings", (dim, previous, 4, 4)
            yield f"{stem}.layernorm", (dim,)
        else:
            yield f"{stage}.downsampling_layer.0", (previous,)
            yield f"{stage}.downsampling_layer.1", (dim, previous, 2, 2)
        for j in range(depth):
            block = f"{stage}.layers.{j}"
            yield f"{block}.dwconv", (dim, 1, 7, 7)
            yield f"{block}.layernorm", (dim,)
            yield f"{block}.pwconv1", (4 * dim, dim)
            yield f"{block}.grn", (1, 1, 1, 4 * dim)
            yield f"{block}.pwconv2", (dim, 4 * dim)
        previous = dim
    yield "convnextv2.layernorm", (previous,)


def _layers(encoder):
    """The layers of an encoder in the order of `_modules`."""
    for layer in itertools.chain(*encoder.stages):
        yield from getattr(layer, "parts", [layer])
    yield encoder.last_norm


def _sizes(shapes):
    """The config of weights without one, from the shapes of their blocks."""
    depths, dims = [0] * 4, [0] * 4
    for name, shape in shapes.items():
        match = _BLOCKS.match(name)
        if match and name.endswith("bias") and int(match[1]) < 4:
            depths[int(match[1])] += 1
            dims[int(match[1])] = shape[0] if shape else 0
    if 0 in depths or 0 in dims:
        raise ValueError(
            "it does not hold the tensors of a ConvNeXt V2 as transformers "
            f"names them. Received: the tensors {list(shapes)[:3]}"
        )
    return {"depths": depths, "hidden_dims": dims}


def _shapes_in(file):
    with _open(file) as opened:
        return {
            name: tuple(opened.get_slice(name).get_shape())
            for name in opened.keys()  # noqa: SIM118
        }


def _load(file, config):
    """The tensors of a file, if their shapes are those of a config."""
    check_shapes(config, _shapes_in(file))
    with _open(file) as opened:
        tensors = {}
        for name, _ in _expected_shapes(config):
            dtype = opened.get_slice(name).get_dtype()
            if dtype not in ("F16", "F32", "F64"):
                raise ValueError(
                    f"The tensor {name!r} holds floats of 16, 32 or 64 bits. "
                    f"Received: dtype {dtype}"
                )
            tensors[name] = opened.get_tensor(name)
    return tensors


def _open(file):
    safetensors = extras.load(
        "safetensors", "Published weights", "safetensors", "hub"
    )
    try:
        return safetensors.safe_open(file, framework="numpy")
    except (OSError, safetensors.SafetensorError) as error:
        raise ValueError(f"it is truncated or altered: {error}") from error


def _named(file, function):
    """Calls a function; its errors name the file."""
    try:
        return function()
    except (OSError, ValueError) as error:
        raise ValueError(
            f"`{file.name}` is not loaded: {error}. Received: {str(file)!r}"
        ) from error
