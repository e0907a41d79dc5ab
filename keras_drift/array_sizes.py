"""Sizes of arrays in memory and in files."""

import math
import re

import keras


def num_bytes(shape, dtype):
    """The bytes of the numbers of an array.

    Args:
        shape: tuple of ints.
        dtype: any dtype of Keras.

    Returns:
        An int.
    """
    bits = re.search(r"\d+", keras.backend.standardize_dtype(dtype))
    bits = int(bits[0]) if bits else 8  # "bool"
    return math.prod(shape) * bits // 8
