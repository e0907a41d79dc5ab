"""Bilinear resizing of images, the same on all backends."""

import numpy as np
from keras import ops

from keras_drift import backend


def resize(images, height, width):
    """Resizes images bilinearly, with antialiasing where they become smaller.

    Pixels are sampled at half-pixel centers, as by `jax.image.resize`. It is a
    product with two matrices, exact and differentiable on every backend and
    inside of every compiler.

    Args:
        images: float tensor `(batch, height, width, channels)`.
        height: int, the height of the result.
        width: int, its width.

    Returns:
        float tensor `(batch, height, width, channels)`.
    """
    _, old_height, old_width, channels = images.shape
    if old_height != height:
        rows = ops.reshape(images, (-1, old_height, old_width * channels))
        rows = backend.matmul(_weights(old_height, height), rows)
        images = ops.reshape(rows, (-1, height, old_width, channels))
    if old_width != width:
        columns = ops.reshape(images, (-1, old_width, channels))
        columns = backend.matmul(_weights(old_width, width), columns)
        images = ops.reshape(columns, (-1, height, width, channels))
    return images


def _weights(old, new):
    """The share of every old pixel in every new one: `(new, old)`."""
    ratio = old / new
    centers = (np.arange(new) + 0.5) * ratio - 0.5
    distances = np.abs(centers[:, None] - np.arange(old))
    # A triangle over two pixels, old or new, whichever are larger.
    weights = np.maximum(0, 1 - distances / max(ratio, 1))
    weights /= weights.sum(axis=1, keepdims=True)
    return ops.convert_to_tensor(weights.astype("float32"))
