"""Layouts of the variables of a network over devices."""

import re

import keras

from keras_drift import checks

STYLES = ("fsdp", "tensor", "both")

# Layers whose inputs are the outputs of one that is cut by its outputs: they
# are cut by their inputs, so that nothing is exchanged between the two.
_CUT_BY_INPUTS = ("project", "down")
_MATRICES = ("kernel", "embeddings", "embedding", "table")


def layout_map(network, mesh, style="fsdp"):
    """Chooses how the variables of a network are cut over devices.

    For networks that do not fit on one device, by `ModelParallel` of Keras, on
    JAX. Smaller ones need no layout: `DataParallel` keeps a copy on each.
    Optimizers cut their own variables like those of the network.

    Keras places variables when they are made. So the layouts are those of a
    network made before, and that to be trained is made from its config:

    ```python
    network = kd.generators.DiT.from_preset("dit_l2_latent", load_weights=False)
    mesh = keras.distribution.DeviceMesh(
        (8,), ["batch"], keras.distribution.list_devices()
    )
    layouts = kd.distribution.layout_map(network, mesh, style="fsdp")
    keras.distribution.set_distribution(
        keras.distribution.ModelParallel(layout_map=layouts)
    )
    generator = network.from_config(network.get_config())
    model = kd.DriftModel(generator)
    ```

    Args:
        network: a `Generator`, an `Encoder` or any Keras model that is built.
        mesh: `keras.distribution.DeviceMesh`. Batches are spread over its first
            axis.
        style: `"fsdp"`: every variable is cut along its longest axis over the
            devices of the first axis of the mesh, and gathered where it is
            used: the least memory. `"tensor"`: matrices are cut over the second
            axis of the mesh, alternately by outputs and by inputs, and each
            device computes a part of every layer. `"both"`: the two together,
            on different axes of a variable. An axis that the devices do not
            divide is not cut. Defaults to `"fsdp"`.

    Returns:
        A `keras.distribution.LayoutMap`. Variables that it does not hold are
        whole on every device; those of other networks are cut as well where
        they have the same paths.

    Raises:
        TypeError: if `mesh` is not a `keras.distribution.DeviceMesh`.
        ValueError: if the network has no variables yet, or if the style needs
            an axis that the mesh does not have.

    Example:

    >>> import keras_drift as kd
    >>> mesh = keras.distribution.DeviceMesh(
    ...     (4, 2), ["batch", "model"], [f"cpu:{i}" for i in range(8)]
    ... )
    >>> generator = kd.generators.MLP(2, hidden_dims=(64, 64))
    >>> layouts = kd.distribution.layout_map(generator, mesh, style="both")
    >>> layouts["dense_1/kernel"].axes
    ('batch', 'model')

    Reference:

    - [Zhao et al., 2023](https://arxiv.org/abs/2304.11277), fully sharded
    - [Shoeybi et al., 2019](https://arxiv.org/abs/1909.08053), tensors
    """
    checks.choice("style", style, STYLES)
    _check(network, mesh, style)
    layouts = keras.distribution.LayoutMap(mesh)
    for variable in network.variables:
        axes = _axes(variable.path, tuple(variable.shape), mesh, style)
        if any(axis is not None for axis in axes):
            layouts[pattern_of(variable, network)] = axes
    return layouts


def pattern_of(variable, network):
    """A regular expression of the path of a variable, in any copy."""
    first, _, rest = variable.path.partition("/")
    if first != network.name:
        return re.escape(variable.path)
    # Keras numbers the networks of a class.
    return f"{re.escape(_without_number(first))}(_[0-9]+)?/{re.escape(rest)}"


def _without_number(name):
    return re.sub(r"_[0-9]+$", "", name)


def _axes(path, shape, mesh, style):
    """The axis of the mesh, or `None`, for each axis of a variable."""
    axes = [None] * len(shape)
    if style != "fsdp":
        axis = _tensor_axis(path, len(shape))
        if axis is not None and shape[axis] % mesh.shape[1] == 0:
            axes[axis] = mesh.axis_names[1]
    if style != "tensor":
        free = [
            axis
            for axis, size in enumerate(shape)
            if axes[axis] is None and size and size % mesh.shape[0] == 0
        ]
        if free:
            longest = max(free, key=lambda axis: shape[axis])
            axes[longest] = mesh.axis_names[0]
    return tuple(axes)


def _tensor_axis(path, rank):
    """The axis to cut for parallel computation, or `None`."""
    layer, _, name = path.rpartition("/")
    by_inputs = layer.rpartition("/")[-1] in _CUT_BY_INPUTS
    if name == "bias" and not by_inputs:
        return rank - 1
    if name not in _MATRICES or rank < 2:
        return None
    return rank - 2 if by_inputs else rank - 1


def _check(network, mesh, style):
    if not isinstance(mesh, keras.distribution.DeviceMesh):
        raise TypeError(
            "`mesh` says how the devices are arranged: a "
            "`keras.distribution.DeviceMesh`, such as `DeviceMesh((8,), "
            "['batch'], keras.distribution.list_devices())`. "
            f"Received: mesh={mesh!r}"
        )
    if not network.variables:
        raise ValueError(
            "Layouts are those of the variables of a network, and this one has "
            f"none yet. Build it first. Received: {type(network).__name__} "
            f"{network.name!r}"
        )
    if style != "fsdp" and len(mesh.shape) < 2:
        raise ValueError(
            f"`style={style!r}` cuts matrices over the second axis of the "
            "mesh: arrange the devices as (data, model), such as (4, 2), or "
            "use `style='fsdp'`. Received: a mesh of shape "
            f"{tuple(mesh.shape)} with axes {list(mesh.axis_names)}"
        )
