"""Means and standard deviations of the windows of feature maps."""

from keras import ops

# The square root is infinitely steep at a variance of zero.
_EPSILON = 1e-6


def window_mean(maps, size):
    """Means of the windows of maps.

    Args:
        maps: float tensor `(batch, height, width, dim)`.
        size: int, the side of a window, which divides height and width; or
            `None`, for one window, the whole map.

    Returns:
        float tensor `(batch, windows, dim)`, windows in row-major order.
    """
    return ops.mean(_windows(maps, size), axis=2)


def window_std(maps, size):
    """Biased standard deviations of the windows of maps, float32.

    The root of the variance plus `1e-6`, in whose square root the gradient
    of a constant map is finite. Arguments and result as of `window_mean`.
    """
    windows = ops.cast(_windows(maps, size), "float32")
    centered = windows - ops.mean(windows, axis=2, keepdims=True)
    return ops.sqrt(ops.mean(ops.square(centered), axis=2) + _EPSILON)


def divides(size, map_size):
    """Whether windows of a size cover maps of `(height, width)`."""
    return not any(side % size for side in map_size)


def _windows(maps, size):
    """`(batch, height, width, dim)` to `(batch, windows, pixels, dim)`."""
    _, height, width, dim = maps.shape
    if size is None:
        return ops.reshape(maps, (-1, 1, height * width, dim))
    rows, columns = height // size, width // size
    maps = ops.reshape(maps, (-1, rows, size, columns, size, dim))
    maps = ops.transpose(maps, (0, 1, 3, 2, 4, 5))
    return ops.reshape(maps, (-1, rows * columns, size * size, dim))
