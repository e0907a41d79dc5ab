"""A block of the pairwise matrix."""

from typing import Any
from typing import NamedTuple

from keras import ops

from keras_drift.ops.point_cloud import safe_log


class Block(NamedTuple):
    """A block of the pairwise matrix: some samples with some points.

    Attributes:
        costs: float tensor `(groups, a, b)`.
        points: float tensor `(groups, b, d)`.
        weights: float tensor `(groups, 1, b)` of the points, or `None`: ones.
        absent: bool tensor `(a, b)`, a mask of pairs to leave out, or `None`
            for none.
        rows: tuple of tensors `(groups, a, f)` that go with the samples.
        columns: tuple of tensors `(groups, b, f)` that go with the points.
    """

    costs: Any
    points: Any
    weights: Any
    absent: Any
    rows: tuple
    columns: tuple

    def count(self, values):
        """Multiplies values by the weights of the points, zero if absent."""
        if self.weights is not None:
            values = values * self.weights
        return self.fill(values, 0.0)

    def weigh(self, logs):
        """Adds the log-weights of the points, minus infinity if absent."""
        if self.weights is not None:
            logs = logs + safe_log(self.weights)
        return self.fill(logs, float("-inf"))

    def fill(self, values, otherwise):
        """Replaces the values of absent pairs by `otherwise`."""
        if self.absent is None:
            return values
        return ops.where(self.absent, otherwise, values)


def side_by_side(blocks):
    """The `Block` of the same samples with the points of all blocks.

    It has neither points nor rows and columns.
    """
    weights = absent = None
    if any(block.weights is not None for block in blocks):
        weights = ops.concatenate([_dense_weights(each) for each in blocks], -1)
    if any(block.absent is not None for block in blocks):
        absent = ops.concatenate([_dense_mask(each) for each in blocks], -1)
    costs = ops.concatenate([block.costs for block in blocks], axis=-1)
    return Block(costs, None, weights, absent, (), ())


def _dense_weights(block):
    if block.weights is None:
        return ops.ones_like(block.costs[:, :1])
    return block.weights


def _dense_mask(block):
    if block.absent is None:
        return ops.zeros(ops.shape(block.costs)[1:], "bool")
    return block.absent
