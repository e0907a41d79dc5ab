"""Crops of random area and aspect ratio, at random places of an image."""

import math
import typing

import numpy as np

from keras_drift import checks

# Keeps these random numbers apart from others of the same seed.
_CROPS = 0x63726F70
_ATTEMPTS = 10  # as in torchvision


class RandomCrop(typing.NamedTuple):
    """The distribution of crops of `torchvision.transforms.RandomResizedCrop`.

    The share of the area is uniform, the logarithm of the aspect ratio too, and
    all places where the crop lies within the image are equally likely. If ten
    draws do not fit into the image, the crop is the largest one in the center
    whose aspect ratio is in the range.

    Attributes:
        scale: `(low, high)`, shares of the area of an image.
        ratio: `(low, high)`, widths by heights.
    """

    scale: tuple
    ratio: tuple

    def box(self, width, height, seed):
        """The crop of an image.

        Args:
            width: int, of the image in pixels.
            height: int.
            seed: tuple of ints >= 0, which decides the draws.

        Returns:
            `(left, top, right, bottom)`, ints.
        """
        rng = np.random.default_rng((*seed, _CROPS))
        logarithms = [math.log(ratio) for ratio in self.ratio]
        for _ in range(_ATTEMPTS):
            area = width * height * rng.uniform(*self.scale)
            ratio = math.exp(rng.uniform(*logarithms))
            columns = round(math.sqrt(area * ratio))
            rows = round(math.sqrt(area / ratio))
            if 0 < columns <= width and 0 < rows <= height:
                left = int(rng.integers(width - columns + 1))
                top = int(rng.integers(height - rows + 1))
                return left, top, left + columns, top + rows
        return self._in_center(width, height)

    def sufficient_side(self, side):
        """Shorter side of an image whose crops all have sides of `side`."""
        longest = max(self.ratio[1], 1 / self.ratio[0], 1)
        factor = max(math.sqrt(longest / self.scale[0]), longest)
        return math.ceil((side + 0.5) * factor)  # sides are rounded

    def _in_center(self, width, height):
        low, high = self.ratio
        columns, rows = width, height
        if width < low * height:
            rows = max(round(width / low), 1)
        elif width > high * height:
            columns = max(round(height * high), 1)
        left, top = (width - columns) // 2, (height - rows) // 2
        return left, top, left + columns, top + rows


def checked(scale, ratio):
    """A `RandomCrop` of arguments `crop_scale` and `crop_ratio`, or `None`."""
    ratio = _range("crop_ratio", ratio, "ratios of width to height, above 0")
    if scale is None:
        return None
    scale = _range(
        "crop_scale", scale, "shares of the area, above 0 and at most 1"
    )
    if scale[1] > 1:
        raise ValueError(
            "`crop_scale` holds shares of the area of an image, at most 1. "
            f"Received: crop_scale={scale!r}"
        )
    return RandomCrop(scale, ratio)


def _range(name, value, meaning):
    message = (
        f"`{name}` is `(low, high)`, {meaning}, such as "
        "`crop_scale=(0.2, 1.0)` with `crop_ratio=(3 / 4, 4 / 3)`. "
        f"Received: {name}={value!r}"
    )
    if not isinstance(value, (tuple, list)):
        raise TypeError(message)
    if (
        len(value) != 2
        or not all(map(checks.is_number, value))
        or not 0 < value[0] <= value[1] < math.inf
    ):
        raise ValueError(message)
    return tuple(map(float, value))
