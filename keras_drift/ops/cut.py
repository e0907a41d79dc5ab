"""How the axes of the pairwise matrix are cut into blocks."""

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
    """How an axis is cut into pieces of one size, the last one padded."""

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

    def split(self, tensor, axis):
        """Cuts an axis into pieces, which come first: `(count, ...)`."""
        if self.count == 1:
            return tensor[None]
        if self.padding:
            widths = [[0, 0] for _ in tensor.shape]
            widths[axis][1] = self.padding
            tensor = ops.pad(tensor, widths)
        shape = _known(tensor.shape)
        shape[axis : axis + 1] = [self.count, self.size]
        return ops.moveaxis(ops.reshape(tensor, shape), axis, 0)

    def merge(self, tensor, axis):
        """The inverse of `split`; `axis` counts without the pieces."""
        if self.count == 1:
            return tensor[0]
        tensor = ops.moveaxis(tensor, 0, axis)
        shape = _known(tensor.shape)
        shape[axis : axis + 2] = [self.count * self.size]
        tensor = ops.reshape(tensor, shape)
        within = [slice(None)] * axis + [slice(self.length)]
        return tensor[tuple(within)]


def _known(shape):
    """A shape for `reshape`, with -1 for an unknown axis."""
    return [-1 if size is None else size for size in shape]


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
    return min(groups, max(1, limit // (height * width))), height, width
