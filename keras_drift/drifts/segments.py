"""Features of one dimension that share a field, side by side."""

import itertools

import numpy as np
from keras import ops


class Segments:
    """Partition of the groups of a field among features.

    The field of several features is computed at once where their groups lie on
    one axis: all tokens of the first group of the batch, then of the second,
    and so on. What is otherwise a mean over the batch, such as a length scale,
    then is a mean over the groups of each feature.

    Args:
        tokens: sequence of ints >= 1, the tokens of each feature. Features with
            as many tokens that follow each other are reduced together.
    """

    def __init__(self, tokens):
        self.tokens = tuple(tokens)

    @property
    def total(self):
        """The number of tokens of all features."""
        return sum(self.tokens)

    def means(self, values):
        """Means over the groups of each feature.

        Args:
            values: float tensor `(groups, ...)`.

        Returns:
            A tensor `(features,)`.
        """
        others = list(range(1, len(values.shape)))
        by_group = ops.mean(values, axis=others) if others else values
        by_token = ops.mean(ops.reshape(by_group, (-1, self.total)), axis=0)
        means, start = [], 0
        for size, equal in itertools.groupby(self.tokens):
            end = start + size * len(list(equal))
            part = ops.reshape(by_token[start:end], (-1, size))
            means.append(ops.mean(part, axis=1))
            start = end
        return ops.concatenate(means)

    def per_group(self, values, groups):
        """The value of the feature that each group belongs to.

        Args:
            values: float tensor `(features,)`.
            groups: int or scalar tensor, the number of groups.

        Returns:
            A tensor `(groups, 1, 1)`.
        """
        owners = np.repeat(np.arange(len(self.tokens)), self.tokens)
        # Keras makes floats of NumPy's integers where `floatx` is bfloat16.
        values = ops.take(values, ops.convert_to_tensor(owners, "int32"))
        sizes = (groups // self.total, self.total)
        values = ops.broadcast_to(values[None], sizes)
        return ops.reshape(values, (groups, 1, 1))

    def per_feature(self, values):
        """The inverse of `per_group`; a scalar is that of every feature."""
        if len(values.shape) == 0:
            return ops.broadcast_to(values, (len(self.tokens),))
        starts = np.cumsum((0, *self.tokens[:-1]))
        starts = ops.convert_to_tensor(starts, "int32")
        return ops.take(ops.reshape(values, (-1,)), starts)
