"""Fields that are weighted sums of points."""

from typing import Any
from typing import NamedTuple

from keras import ops

from keras_drift import backend
from keras_drift.ops.spread_axis import spread_axis


class PointSums(NamedTuple):
    """A field `sum_j a_ij y_j - sum_k b_ik z_k`, by its coefficients.

    The sum of several fields over the same points has the sum of their
    coefficients: one product with the points instead of one for each.

    Attributes:
        toward: float tensor `(groups, n, m)`, the coefficients `a`.
        away: float tensor `(groups, n, k)`, the coefficients `b`.
        positives: float tensor `(groups, m, d)`.
        negatives: float tensor `(groups, k, d)`.
    """

    toward: Any
    away: Any
    positives: Any
    negatives: Any

    @property
    def shape(self):
        """The shape of the field, `(groups, n, d)`."""
        return (*self.toward.shape[:2], self.positives.shape[-1])

    def tensor(self):
        """The field itself, `(groups, n, d)`."""
        # A product for each side, so that equal sides cancel exactly.
        return backend.matmul(self.toward, self.positives) - backend.matmul(
            self.away, self.negatives
        )


def as_tensor(field):
    """The field as a tensor, which it may be already."""
    return field.tensor() if isinstance(field, PointSums) else field


def mean_squares(fields):
    """Mean squares of fields over the coordinates: a list of `(groups, n)`.

    Args:
        fields: list of tensors, or of `PointSums` with the same points.
    """
    # Along an axis that is spread, a concatenation exchanges everything.
    sums = all(isinstance(field, PointSums) for field in fields)
    if not sums or spread_axis(fields[0].toward) == 1:
        return [
            ops.mean(ops.square(as_tensor(field)), axis=-1) for field in fields
        ]
    # One product for all of them, whose result compilers need not store.
    together = fields[0]._replace(
        toward=ops.concatenate([field.toward for field in fields], axis=1),
        away=ops.concatenate([field.away for field in fields], axis=1),
    )
    squares = ops.mean(ops.square(together.tensor()), axis=-1)
    size = ops.shape(fields[0].toward)[1]
    return [squares[:, k * size : (k + 1) * size] for k in range(len(fields))]


def weighted_sum(fields, factors):
    """The sum of fields, each times its factor: a tensor `(groups, n, d)`.

    Args:
        fields: list of tensors, or of `PointSums` with the same points.
        factors: list of scalars, or of tensors `(groups, 1, 1)`.
    """
    if not all(isinstance(field, PointSums) for field in fields):
        # Added one by one: a stack of them would cost a copy of each.
        return sum(
            as_tensor(field) * factor
            for field, factor in zip(fields, factors, strict=True)
        )
    toward, away = (
        weighted_sum([getattr(field, side) for field in fields], factors)
        for side in ("toward", "away")
    )
    return fields[0]._replace(toward=toward, away=away).tensor()
