"""Patches of images and feature maps as channels."""

from keras import ops


def fold(images, size, xp=ops):
    """Folds patches into channels.

    Args:
        images: tensor `(batch, height, width, channels)`.
        size: int, the side of a patch, a divisor of height and width.
        xp: what computes it: `keras.ops`, or NumPy for arrays in float64.
            Defaults to `keras.ops`.

    Returns:
        Tensor `(batch, height / size, width / size, size * size * channels)`,
        the pixels of a patch row by row.
    """
    if size == 1:
        return images
    pixels = xp.transpose(grid(images, size, size, xp), (0, 1, 3, 2, 4, 5))
    _, rows, columns, _, _, channels = pixels.shape
    return xp.reshape(pixels, (-1, rows, columns, size * size * channels))


def unfold(patches, size):
    """Unfolds channels into patches: the inverse of `fold`."""
    if size == 1:
        return patches
    _, rows, columns, dim = patches.shape
    channels = dim // (size * size)
    pixels = ops.reshape(patches, (-1, rows, columns, size, size, channels))
    pixels = ops.transpose(pixels, (0, 1, 3, 2, 4, 5))
    return ops.reshape(pixels, (-1, rows * size, columns * size, channels))


def grid(images, rows, columns, xp=ops):
    """Axes of patches of so many rows and columns of pixels.

    They are `(batch, height / rows, rows, width / columns, columns, channels)`.
    """
    _, height, width, channels = images.shape
    sizes = (-1, height // rows, rows, width // columns, columns, channels)
    return xp.reshape(images, sizes)
