"""Batches whose halves stay apart from batch to batch."""

import numpy as np


def in_halves(indices):
    """Sorts indices so that even and odd ones alternate, as far as possible.

    Metrics compare the samples of a batch at even places with those at odd
    ones, and `FrechetDistance` gathers both sets over all batches. A sample
    whose place has the parity of its index is in the same set in all of them.

    Args:
        indices: int array `(..., n)`.

    Returns:
        int array `(..., n)`, the same indices in another order.

    Example:

    >>> from keras_drift.datasets.arrays.halves import in_halves
    >>> in_halves(np.array([3, 4, 5, 6, 7])).tolist()
    [4, 3, 6, 5, 7]
    """
    odd = indices % 2
    rank = np.where(odd, np.cumsum(odd, -1), np.cumsum(1 - odd, -1))
    order = np.argsort(2 * rank + odd, axis=-1, kind="stable")
    return np.take_along_axis(indices, order, axis=-1)
