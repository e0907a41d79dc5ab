"""Table of the variables of a network and their layouts."""

import math

from keras_drift import array_sizes
from keras_drift import checks


def layout_summary(network, layouts, num_slots=2, print_fn=print):
    """Prints variables, their layouts and the bytes that a device holds.

    Args:
        network: a built Keras model.
        layouts: `keras.distribution.LayoutMap`, see `layout_map`.
        num_slots: int >= 0, the variables that the optimizer keeps for each
            trainable one: 2 for Adam, and one more with `use_ema=True`.
            Defaults to `2`.
        print_fn: callable, what prints each line. Defaults to `print`.

    Returns:
        `(per_device, total)`: bytes of variables and optimizer on one device,
        and on a single device without layouts.

    Example:

    >>> import keras_drift as kd
    >>> mesh = keras.distribution.DeviceMesh(
    ...     (4, 2), ["batch", "model"], [f"cpu:{i}" for i in range(8)]
    ... )
    >>> generator = kd.generators.MLP(2, hidden_dims=(64,))
    >>> layouts = kd.distribution.layout_map(generator, mesh, style="both")
    >>> bytes = kd.distribution.layout_summary(generator, layouts)
    variable        shape    layout              bytes per device
    dense_0/kernel  (8, 64)  ('batch', 'model')               768
    dense_0/bias    (64,)    ('model',)                       384
    dense_1/kernel  (64, 2)  ('batch', 'model')               192
    dense_1/bias    (2,)     ('model',)                        12
    total, of 8,472 bytes: 0.160                            1,356
    """
    checks.non_negative_integer("num_slots", num_slots)
    rows, per_device, total = [], 0, 0
    for variable in network.variables:
        layout = layouts[variable.path]
        axes = "whole" if layout is None else layout.axes
        count = 1 + num_slots if variable.trainable else 1
        size = count * array_sizes.num_bytes(variable.shape, variable.dtype)
        share = size // _num_parts(layout)
        rows.append(
            (variable.path, str(tuple(variable.shape)), str(axes), share)
        )
        per_device, total = per_device + share, total + size
    _print(rows, per_device, total, print_fn)
    return per_device, total


def _num_parts(layout):
    if layout is None:
        return 1
    mesh = layout.device_mesh
    sizes = dict(zip(mesh.axis_names, mesh.shape, strict=True))
    return math.prod(sizes[axis] for axis in layout.axes if axis is not None)


def _print(rows, per_device, total, print_fn):
    header = "variable", "shape", "layout", "bytes per device"
    widths = [
        max(len(str(row[k])) for row in (header, *rows)) for k in range(3)
    ]
    last = len(header[3])
    for row in (header, *rows):
        name, shape, axes = (
            each.ljust(width)
            for each, width in zip(row[:3], widths, strict=True)
        )
        amount = row[3] if isinstance(row[3], str) else f"{row[3]:,}"
        print_fn(f"{name}  {shape}  {axes}  {amount:>{last}}")
    text = f"total, of {total:,} bytes: {per_device / total:.3f}"
    print_fn(f"{text.ljust(sum(widths) + 4)}  {per_device:>{last},}")
