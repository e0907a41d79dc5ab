"""Iterates over blocks of the pairwise matrix, for every reduction."""

import copy
import functools
import math

import keras
from keras import ops

from keras_drift import backend
from keras_drift.ops.block import Block
from keras_drift.ops.cut import Cut
from keras_drift.ops.cut import block_shape
from keras_drift.ops.cut import merge
from keras_drift.ops.cut import split
from keras_drift.ops.distances import pairwise_distances
from keras_drift.ops.running_sums import merged_sums
from keras_drift.ops.spread_axis import spread_axis


class Pairs:
    """All pairs of samples with the points of a cloud, in blocks.

    Reductions over pairs compute the costs of one block at a time, so that
    memory is linear in the number of samples. Costs that fit into one block are
    computed once. A gradient rematerializes the blocks (TensorFlow keeps them)
    from the state carried from block to block. On JAX, call reductions over
    many blocks inside of `jit`: outside, every call compiles its loop anew.

    Under `keras.distribution` the groups are spread over the devices, which
    exchange nothing then, or, where there are fewer groups than devices, the
    samples of each group, for which the points are gathered once. Blocks are
    those of the share of one device.

    Args:
        x: float tensor `(groups, n, d)`, the samples.
        cloud: `PointCloud` of `m` points.
        cost: callable from points `(groups, a, d)` and `(groups, b, d)` to
            costs `(groups, a, b)`. Defaults to the Euclidean distance.
        block_size: int, or two: the numbers of samples and of points in a
            block. Defaults to `None`: chosen from the shapes. Where a compiled
            program does not know them, all pairs are one block.
        unit: float tensor `(groups, 1, 1)`, what the costs of each group are
            divided by, or `(groups, n, 1)`, of each sample. Defaults to
            `None`: 1.
        point_unit: float tensor `(groups, m)`, what the costs of each point are
            divided by as well. Defaults to `None`: 1.

    Attributes:
        points: float tensor `(groups, m, d)`, those of the cloud, masked where
            their weight is zero (`ops.mask_absent`).
    """

    def __init__(
        self,
        x,
        cloud,
        cost=pairwise_distances,
        block_size=None,
        unit=None,
        point_unit=None,
    ):
        self.x = x
        self.cloud = cloud
        self.points = cloud.masked().points
        self._spread_axis = spread_axis(x)
        if self._spread_axis is not None:
            self.points = self._spread_points(self.points)
        self.cost = cost
        self.block_size = block_size
        self.unit = unit
        self.point_unit = point_unit
        shape = (x.shape[0], x.shape[1], self.points.shape[1])
        dim = x.shape[-1]
        if 0 in shape:
            raise ValueError(
                "Pairs need at least one sample and one point. Received: "
                f"x.shape={tuple(x.shape)}, "
                f"points.shape={tuple(self.points.shape)}"
            )
        share = self._share_of(shape)
        sizes = block_shape(*share, dim, block_size)
        self._cuts = tuple(map(Cut, share, sizes))
        # What devices do not divide is padded, and masked in the fold.
        self._is_padded = self._pads(shape)
        # In the share of one device, the number of its first sample.
        self._first_sample = 0
        # Shared by several folds; compiled code drops them where unused.
        self._costs = self._absent_pairs = None
        if self.is_whole:
            costs = cost(self._spread_samples(x), self.points)
            self._costs = _in_units(costs, unit, point_unit)
            self._absent_pairs = self._absent(
                0, ops.shape(x)[1], 0, ops.shape(self.points)[1]
            )

    @property
    def is_whole(self):
        """Whether all pairs are one block."""
        return not self._is_padded and all(cut.count == 1 for cut in self._cuts)

    def whole(self):
        """The `Block` of all pairs, without rows and columns."""
        return self._block(0, self._with_samples(()), 0, self._with_points(()))

    def total_weight(self):
        """Sum of the weights over all present pairs: a scalar."""
        return ops.sum(self.weight_sums())

    def weight_sums(self):
        """Sum of the weights over the points of each sample: `(groups, n)`."""
        weights = self.cloud.dense_weights()
        sums = ops.sum(weights, axis=-1, keepdims=True)
        if self.cloud.contains_samples:
            return sums - weights[:, : ops.shape(self.x)[1]]
        return ops.broadcast_to(sums, ops.shape(self.x)[:2])

    def of(self, x):
        """The pairs of other samples with the same points.

        Units are those of groups and points, not of single samples.
        """
        return Pairs(
            x,
            self.cloud,
            self.cost,
            self.block_size,
            self.unit,
            self.point_unit,
        )

    def in_units_of(self, unit, point_unit=None):
        """The same pairs with costs divided by units.

        Args:
            unit: float tensor `(groups, 1, 1)`, or `(groups, n, 1)`.
            point_unit: float tensor `(groups, m)`. Defaults to `None`: 1.
        """
        pairs = copy.copy(self)
        pairs.unit = unit if self.unit is None else self.unit * unit
        if point_unit is not None:
            own = self.point_unit
            pairs.point_unit = point_unit if own is None else own * point_unit
        if self.is_whole:
            pairs._costs = _in_units(self._costs, unit, point_unit)
        return pairs

    def fold(self, function, row_start, column_start, rows=(), columns=()):
        """Folds a function over all blocks.

        Args:
            function: from `(row_state, column_state, block)` to the next
                `(row_state, column_state)`. A state is a nest of tensors,
                `(groups, a, f)` for the samples of the `Block` and
                `(groups, b, f)` for its points; that of the points is a
                log-sum-exp (`keras_drift.ops.running_sums`), or a nest of
                tuples of them.
            row_start: callable from `(groups, a)` to the first state of the
                samples.
            column_start: callable from `(groups, b)` to that of the points.
            rows: tuple of tensors `(groups, n, f)`, to be cut into blocks.
            columns: tuple of tensors `(groups, m, f)`.

        Returns:
            The last `(row_state, column_state)` of all samples and points.
        """
        rows = self._with_samples(rows)
        columns = self._with_points(columns)
        if self.is_whole:
            groups, height, _ = ops.shape(self.x)
            width = ops.shape(self.points)[1]
            return function(
                row_start(groups, height),
                column_start(groups, width),
                self._block(0, rows, 0, columns),
            )
        starts = row_start, column_start
        if self._spread_axis is None:
            return self._fold_blocks(function, *starts, rows, columns)
        return self._fold_shares(function, *starts, rows, columns)

    def _fold_shares(self, function, row_start, column_start, rows, columns):
        """Folds over the blocks of each device."""
        axis, num_rows = self._spread_axis, len(rows)

        def fold_one(index, *tensors):
            share = copy.copy(self)
            if axis == 1:
                share._first_sample = index * self._cuts[1].length
            return share._fold_blocks(
                function,
                row_start,
                column_start,
                tensors[:num_rows],
                tensors[num_rows:],
            )

        def fold_groups(index, *tensors):
            return fold_one(index, *tensors), ()

        if axis == 0:
            axes = [0] * (num_rows + len(columns))
            states, _ = backend.in_shares(
                fold_groups, (*rows, *columns), axes, 0
            )
            return keras.tree.map_structure(self._without_padding, states)
        axes = [1] * num_rows + [None] * len(columns)
        rows, columns = backend.in_shares(fold_one, (*rows, *columns), axes, 1)
        rows = keras.tree.map_structure(self._without_padding, rows)
        return rows, merged_sums(columns)

    def _fold_blocks(self, function, row_start, column_start, rows, columns):
        """Folds over the blocks of one device."""
        by_group, by_row, by_column = self._cuts

        def over_groups(index, carry, parts):
            del index, carry
            rows, columns = parts
            _, groups, height, _ = ops.shape(rows[0])
            width = ops.shape(columns[0])[2]

            def over_rows(row_index, column_states, rows):
                def over_columns(column_index, row_state, parts):
                    columns, column_state = parts
                    block = self._block(row_index, rows, column_index, columns)
                    return function(row_state, column_state, block)

                row_state, column_states = backend.scan(
                    over_columns,
                    row_start(groups, height),
                    (columns, column_states),
                    recompute=True,
                )
                return column_states, row_state

            column_states = keras.tree.map_structure(
                lambda v: ops.repeat(v[None], by_column.count, axis=0),
                column_start(groups, width),
            )
            column_states, row_states = backend.scan(
                over_rows, column_states, rows
            )
            return (), (row_states, column_states)

        rows = tuple(split(v, by_group, by_row) for v in rows)
        columns = tuple(split(v, by_group, by_column) for v in columns)
        _, (rows, columns) = backend.scan(
            over_groups, (), (rows, columns), static_first=False
        )
        return tuple(
            keras.tree.map_structure(
                lambda v, by=by_point: merge(v, by_group, by), states
            )
            for states, by_point in ((rows, by_row), (columns, by_column))
        )

    def _share_of(self, shape):
        """The groups, samples and points of one device."""
        if self._spread_axis is None:
            return shape
        shape, axis = list(shape), self._spread_axis
        shape[axis] = math.ceil(shape[axis] / backend.num_shares(self.x))
        return tuple(shape)

    def _pads(self, shape):
        """Whether the devices do not divide the axis that is spread."""
        if self._spread_axis is None:
            return False
        return shape[self._spread_axis] % backend.num_shares(self.x) != 0

    def _spread_samples(self, x):
        if self._spread_axis is None:
            return x
        return backend.spread(x, self._spread_axis)

    def _spread_points(self, points):
        if self._spread_axis == 0:
            return backend.spread(points, 0)
        return backend.replicate(points)

    def _without_padding(self, tensor):
        """Drops what was added so that the devices divide an axis."""
        size = self.x.shape[self._spread_axis]
        return tensor[:size] if self._spread_axis == 0 else tensor[:, :size]

    def _with_samples(self, rows):
        """Adds the samples ahead and the units behind, for `_block`."""
        if self.unit is None or self.is_whole:
            return (self.x, *rows)
        unit = self.unit + ops.zeros_like(self.x[..., :1])
        return (self.x, *rows, unit)

    def _with_points(self, columns):
        """Adds the points ahead, units and weights behind, for `_block`."""
        columns = (self.points, *columns)
        if self.point_unit is not None and not self.is_whole:
            columns = (*columns, self.point_unit[..., None])
        if self.cloud.weights is None:
            return columns
        return (*columns, self.cloud.weights[..., None])

    def _block(self, row_index, rows, column_index, columns):
        x, *rows = rows
        points, *columns = columns
        weights = None
        if self.cloud.weights is not None:
            weights = ops.swapaxes(columns.pop(), -1, -2)
        costs, absent = self._costs, self._absent_pairs
        if not self.is_whole:
            unit = None if self.unit is None else _padded_with_ones(rows.pop())
            point_unit = None
            if self.point_unit is not None:
                point_unit = _padded_with_ones(columns.pop()[..., 0])
            costs = _in_units(self.cost(x, points), unit, point_unit)
            absent = self._absent(
                row_index, ops.shape(x)[-2], column_index, ops.shape(points)[-2]
            )
        return Block(
            costs, points, weights, absent, tuple(rows), tuple(columns)
        )

    def _absent(self, row_index, height, column_index, width):
        """Mask of self-pairs and of padding: of last blocks, of devices."""
        cuts = self._cuts[1:]
        indices = row_index, column_index
        own = self.cloud.contains_samples and self._may_meet(*indices)
        ends = [
            cut.may_be_padded(index)
            for cut, index in zip(cuts, indices, strict=True)
        ]
        samples_are_padded = self._is_padded and self._spread_axis == 1
        if not (own or any(ends) or samples_are_padded):
            return None
        i = row_index * height + ops.arange(height, dtype="int32")[:, None]
        j = column_index * width + ops.arange(width, dtype="int32")[None, :]
        number = self._first_sample + i
        absent = [number == j] if own else []
        if samples_are_padded:
            absent.append(number >= self.x.shape[1])
        absent += [
            index >= cut.length
            for index, cut, end in zip((i, j), cuts, ends, strict=True)
            if end
        ]
        return functools.reduce(ops.logical_or, absent)

    def _may_meet(self, row_index, column_index):
        """Whether a block may hold a sample and itself among the points."""
        if self.is_whole or not (
            isinstance(row_index, int)
            and isinstance(column_index, int)
            and isinstance(self._first_sample, int)
        ):
            return True
        _, by_row, by_column = self._cuts
        return (
            row_index * by_row.size < (column_index + 1) * by_column.size
            and column_index * by_column.size < (row_index + 1) * by_row.size
        )


def _in_units(costs, unit, point_unit):
    """Divides costs by the units of `Pairs`; `None` is 1."""
    if unit is not None:
        costs = costs / unit
    if point_unit is not None:
        costs = costs / point_unit[:, None]
    return costs


def _padded_with_ones(unit):
    # Zeros are padding: a quotient of zeros has no gradient.
    return ops.where(unit == 0, 1.0, unit)


def in_units_of(length, *pairs):
    """Hands lengths that differ from group to group over to the pairs.

    Args:
        length: float or scalar tensor, the same for all groups, or a tensor
            `(groups, 1, 1)`.
        *pairs: `Pairs`.

    Returns:
        `(length, *pairs)` as they are for a scalar, otherwise 1 and the pairs
        with their costs in units of the length.
    """
    if not getattr(length, "shape", ()):
        return (length, *pairs)
    return (1.0, *(each.in_units_of(length) for each in pairs))
