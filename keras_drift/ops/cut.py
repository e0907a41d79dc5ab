"""Splits the axes of the pairwise matrix into blocks."""

import math

from keras import ops

from keras_drift import backend
from keras_drift import checks

# Pairs in a block: as many as fit the caches of a CPU, or saturate an
# accelerator.
_PAIRS_ON_CPU = 2**19
_PAIRS_ON_ACCELERATOR = 2**24
_PAIRS_PER_NUMBER = 4


class Cut:
    """Split of an axis into pieces of one size, the last one padded."""

    def __init__(self, length, size):
        self.length = length
        self.count = 1 if size is None else math.ceil(length / size)
        # Pieces as equal as can be.
        self.size = None if size is None else math.ceil(length / self.count)
        self.padding = 0 if size is None else self.count * self.size - length

    def may_be_padded(self, index):
        """Whether a piece may be the last one, with padding at its end."""
        last = not isinstance(index, int) or index == self.count - 1
        return self.padding > 0 and last

    @property
    def padded(self):
        """The length of the axis with its padding; -1 if it is unknown."""
        return -1 if self.length is None else self.length + self.padding

    @property
    def piece(self):
        """The length of a piece; -1 if it is unknown."""
        return self.padded if self.size is None else self.size


def split(tensor, by_group, by_point):
    """Cuts groups of samples or points into blocks, which come first.

    Args:
        tensor: float tensor `(groups, n, f)`.
        by_group: `Cut` of the groups.
        by_point: `Cut` of the samples or points.

    Returns:
        A tensor `(group pieces, pieces, groups, n, f)`.
    """
    if by_group.padding or by_point.padding:
        widths = [[0, by_group.padding], [0, by_point.padding], [0, 0]]
        tensor = ops.pad(tensor, widths)
    groups = by_group.count, by_group.piece
    points = by_point.count, by_point.piece
    tensor = ops.reshape(tensor, (*groups, *points, tensor.shape[-1]))
    return _exchanged(tensor, by_group, by_point)


def merge(tensor, by_group, by_point):
    """The inverse of `split`."""
    tensor = _exchanged(tensor, by_group, by_point)
    shape = by_group.padded, by_point.padded, tensor.shape[-1]
    tensor = ops.reshape(tensor, shape)
    if by_group.padding or by_point.padding:
        return tensor[: by_group.length, : by_point.length]
    return tensor


def _exchanged(tensor, by_group, by_point):
    """Exchanges the second axis with the third, without a copy if it can."""
    if 1 not in (by_group.piece, by_point.count):
        return ops.swapaxes(tensor, 1, 2)
    _, one, other, size, dim = tensor.shape
    sizes = [-1 if each is None else each for each in (other, one, size, dim)]
    return ops.reshape(tensor, (by_group.count, *sizes))


def block_shape(groups, n, m, dim, block_size):
    """The groups, samples and points of a block; `None` for all."""
    block_size = checks.block_size(block_size)
    if n is None or m is None:
        return None, None, None
    if block_size is not None:
        height, width = block_size
        return None, min(n, height), min(m, width)
    # The pairs of groups of few samples take less memory than their points.
    if _PAIRS_PER_NUMBER * n * m <= (n + m) * dim:
        return None, None, None
    limit = (
        _PAIRS_ON_ACCELERATOR if backend.has_accelerator() else _PAIRS_ON_CPU
    )
    if groups is not None and groups * n * m <= 2 * limit:
        return None, None, None
    # A block is twice as wide as high where the shapes allow.
    width = min(m, max(math.isqrt(2 * limit), limit // n))
    height = min(n, max(1, limit // width))
    if groups is None:
        return None, height, width
    most = min(groups, max(1, limit // (height * width)))
    # Rather smaller blocks than copies of all points with padding.
    for size in range(most, most // 2, -1):
        if groups % size == 0:
            return size, height, width
    return most, height, width
