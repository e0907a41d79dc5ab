"""Patches of images and feature maps: masks and statistics."""

from typing import Any
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_drift import checks
from keras_drift import patch_folding

# Under the square root of a variance, whose slope is infinite at zero.
EPSILON = 1e-6

# The masks of an evaluation, one after another, before they repeat.
NUM_MASKS = 256


def random_mask(image_shape, size, ratio, seed):
    """Draws masks that hide random patches of images.

    Each image has a ratio, uniform in an interval, and each of its patches is
    hidden with that probability, independently of the others.

    Args:
        image_shape: `(batch, height, width)`; `batch` may be a tensor.
        size: int, the side of a patch, a divisor of height and width.
        ratio: `(lowest, highest)`, the interval.
        seed: a `keras.random.SeedGenerator`.

    Returns:
        float32 tensor `(batch, height, width, 1)`: 1 where pixels are hidden,
        0 elsewhere.
    """
    batch, height, width = image_shape
    share = keras.random.uniform((batch, 1, 1), dtype="float32", seed=seed)
    noise = keras.random.uniform(
        (batch, height // size, width // size), dtype="float32", seed=seed
    )
    return _mask(share, noise, size, ratio)


def numbered_mask(numbers, image_size, size, ratio, seed):
    """The masks of a fixed sequence, distributed as those of `random_mask`.

    They are the same on every backend, and repeat after `NUM_MASKS`.

    Args:
        numbers: int tensor `(batch,)`, the places of masks in the sequence.
        image_size: `(height, width)`.
        size: int, the side of a patch, a divisor of height and width.
        ratio: `(lowest, highest)`, the interval.
        seed: int, of the sequence.

    Returns:
        float32 tensor `(batch, height, width, 1)`, see `random_mask`.
    """
    height, width = image_size
    # A stream each, so that the ratios do not depend on the size of images.
    shares, noise = (
        np.random.default_rng((seed, stream)).random(shape, "float32")
        for stream, shape in enumerate(
            ((NUM_MASKS, 1, 1), (NUM_MASKS, height // size, width // size))
        )
    )
    rows = ops.mod(numbers, NUM_MASKS)
    return _mask(
        *(
            ops.take(ops.convert_to_tensor(table), rows, axis=0)
            for table in (shares, noise)
        ),
        size,
        ratio,
    )


def _mask(share, noise, size, ratio):
    """Masks from uniform numbers: of the image, and of each patch."""
    lowest, highest = ratio
    share = lowest + (highest - lowest) * share
    mask = ops.cast(noise < share, "float32")
    mask = ops.repeat(ops.repeat(mask, size, axis=1), size, axis=2)
    return mask[..., None]


def checked_sides(name, sides):
    """Returns the sides of the patches of `statistics` as a tuple of ints.

    Args:
        name: str, of the argument.
        sides: sequence of ints >= 1; or `None`, which the official release
            writes for none.
    """
    if sides is None:
        return ()
    if not np.iterable(sides) or isinstance(sides, (str, set)):
        raise TypeError(
            f"`{name}` is a sequence of sides of patches, such as (2, 4); `()` "
            f"for none. Received: {name}={sides!r}"
        )
    return tuple(checks.positive_integer(name, side) for side in sides)


def root_mean_square(maps):
    """Root mean square of each channel over the positions of a map.

    Args:
        maps: tensor `(batch, height, width, channels)`.

    Returns:
        float32 tensor `(batch, 1, channels)`.
    """
    squares = ops.square(ops.cast(maps, "float32"))
    mean = ops.mean(squares, axis=(1, 2)) + EPSILON
    return ops.sqrt(mean)[:, None]


def statistics(name, maps, means, stds, global_mean, global_std):
    """Positions of a feature map, and statistics over its patches.

    Args:
        name: str, the name of the map, from which those of its statistics
            derive.
        maps: tensor `(batch, height, width, channels)`.
        means: ints, the sides of the patches with a mean.
        stds: ints, the sides of the patches with a standard deviation.
        global_mean: bool, whether the mean over the whole map is included.
        global_std: bool, the same for the standard deviation.

    Returns:
        A dict of float32 tensors `(batch, tokens, channels)`: `name`, every
        position row by row; `name_mean` and `name_std`, over the map; and for
        each side that divides height and width `name_mean_SIDE` and
        `name_std_SIDE`, over the patches row by row.
    """
    maps = ops.cast(maps, "float32")
    _, height, width, channels = maps.shape
    found = {name: ops.reshape(maps, (-1, height * width, channels))}
    fit = [
        side
        for side in sorted({*means, *stds})
        if height % side == 0 and width % side == 0
    ]
    by_side, whole = _moments(maps, fit)
    if global_mean:
        found[f"{name}_mean"] = _one_token_each(whole.mean)
    if global_std:
        found[f"{name}_std"] = _one_token_each(whole.std())
    for side in means:
        if side in fit:
            found[f"{name}_mean_{side}"] = _one_token_each(by_side[side].mean)
    for side in stds:
        if side in fit:
            found[f"{name}_std_{side}"] = _one_token_each(by_side[side].std())
    return found


class _Moments(NamedTuple):
    """Means and variances of patches, `(batch, rows, columns, channels)`."""

    mean: Any
    variance: Any = None

    def over(self, rows, columns):
        """Those of patches of so many of these patches."""
        means = patch_folding.grid(self.mean, rows, columns)
        mean = ops.mean(means, axis=(2, 4), keepdims=True)
        variance = ops.mean(ops.square(means - mean), axis=(2, 4))
        if self.variance is not None:
            within = patch_folding.grid(self.variance, rows, columns)
            variance = variance + ops.mean(within, axis=(2, 4))
        return _Moments(ops.squeeze(mean, (2, 4)), variance)

    def std(self):
        """Standard deviations, with a gradient everywhere."""
        return ops.sqrt(self.variance + EPSILON)


def _moments(maps, sides):
    """The `_Moments` of the patches of each side, and of the whole map.

    Those of large patches follow from those of small ones by the law of total
    variance, so that few of them read the map itself.

    Args:
        maps: float32 tensor `(batch, height, width, channels)`.
        sides: list of ints that divide height and width, from small to large.

    Returns:
        A tuple of a dict by side, and of the `_Moments` of the whole map.
    """
    found = {}
    for side in sides:
        finer = max((each for each in found if side % each == 0), default=1)
        ratio = side // finer
        found[side] = found.get(finer, _Moments(maps)).over(ratio, ratio)
    coarsest = found[sides[-1]] if sides else _Moments(maps)
    return found, coarsest.over(*coarsest.mean.shape[1:3])


def _one_token_each(values):
    """`(batch, rows, columns, channels)` to one token for each patch."""
    _, rows, columns, channels = values.shape
    return ops.reshape(values, (-1, rows * columns, channels))
