"""Conversion of arrays to the byte order of the machine."""

import numpy as np


def native(array):
    """Converts a NumPy array of another byte order, which backends refuse.

    Args:
        array: any object.

    Returns:
        A copy of such an array; anything else as it is.
    """
    if isinstance(array, np.ndarray) and not array.dtype.isnative:
        return array.astype(array.dtype.newbyteorder("="))
    return array
