"""Fields of features in many dimensions, by their Gram matrices.

Distances of points, lengths of velocities and the field itself depend on the
coordinates by inner products alone, and a velocity is a sum of points. With few
points in many dimensions, as in a recipe for images, one product gives all
inner products and another one the velocities. Whatever lies between is computed
for pairs of points, whatever their dimension.
"""

import itertools
from typing import Any
from typing import NamedTuple

from keras import ops

from keras_drift import backend
from keras_drift.drifts.field import Field
from keras_drift.drifts.field_inputs import FieldInputs
from keras_drift.drifts.segments import Segments
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import distances_of_gram
from keras_drift.ops.block import side_by_side
from keras_drift.ops.distances import COINCIDENT
from keras_drift.ops.spread_axis import spread_axis

# The length of the difference of two means of points that float32 resolves, in
# units of the distances between the points.
_RESOLVED = 1e-3
# The numbers of a sample up to which features are copied side by side: the
# copies take less time than the programs of many small products to compile.
_FEW_NUMBERS = 2**14


class GramPoints(NamedTuple):
    """The features of samples and data that share a field.

    Attributes:
        samples: list of float32 tensors `(groups * n, tokens, dim)`, one for
            each feature.
        positives: list of float32 tensors `(groups * m, tokens, dim)`.
        unconditional: list of float32 tensors `(groups * k, tokens, dim)`, or
            `None`.
        weights: float32 tensor `(groups, k)`, those of the unconditional
            points, or `None`.
        counts: tuple of ints `(n, k, m)`, points per group.
    """

    samples: Any
    positives: Any
    unconditional: Any
    weights: Any
    counts: tuple

    @property
    def tokens(self):
        """The tokens of each feature."""
        return [feature.shape[1] for feature in self.samples]

    @property
    def dim(self):
        """The dimension of all of them."""
        return self.samples[0].shape[-1]

    def parts(self):
        """Partition of the features: those of a part are put side by side.

        Returns:
            A list of slices.
        """
        ends, numbers = [0], 0
        for number, tokens in enumerate(self.tokens):
            numbers += tokens * self.dim
            if numbers > _FEW_NUMBERS and number > ends[-1]:
                ends.append(number)
                numbers = tokens * self.dim
        ends.append(len(self.tokens))
        return [slice(*pair) for pair in itertools.pairwise(ends)]


def gram_points(
    x,
    positives,
    unconditional=(0, None),
    unconditional_weights=None,
    negatives=None,
    guidance_scale=None,
):
    """The `GramPoints` of the arguments of a field.

    Args:
        x: tuple of an int, the points per group, and a list of features.
        positives: the same for the positives.
        unconditional: the same for the unconditional points. Defaults to none.
        unconditional_weights: float32 tensor `(groups, k)`, or `None`.
        negatives: the same as `x`, or `None`.
        guidance_scale: see `Drift.field`.

    Returns:
        `GramPoints`; or `None` for arguments that `gram_field` does not take.
    """
    counts = x[0], unconditional[0], positives[0]
    if negatives or guidance_scale is not None or None in counts:
        return None
    return GramPoints(
        x[1], positives[1], unconditional[1], unconditional_weights, counts
    )


def suits(drift, points, placement):
    """Whether `gram_field` computes the field of a drift, and is faster.

    Args:
        drift: `Drift`.
        points: `GramPoints`, or `None`.
        placement: see `Drift.field`.
    """
    return (
        points is not None
        and sum(points.counts) <= points.dim
        and vars(type(drift)).get("takes_gram", False)
        and vars(type(drift.normalization)).get("coefficients")
        and not drift.normalization.bias_correction
        and not drift.normalization.keeps_absent
        and not drift.measures_signal
        and not drift.length_scale_floor
        and drift.relative
        and drift.self_interaction != "independent"
        and drift.block_size is None
        and not drift.kernel.spherical
        # Devices exchange points, see `Pairs`.
        and spread_axis(points.samples[0]) is None
        and (placement != "samples" or backend.num_replicas() == 1)
    )


def gram_field(drift, points, placement, after=0.0):
    """Computes the field of features.

    Args:
        drift: `KernelDrift` that `suits`.
        points: `GramPoints`.
        placement: see `Drift.field`.
        after: float32 scalar tensor, a result that must be known first. Fields
            that follow each other need the memory of one of them. Defaults to
            0: none.

    Returns:
        `(field, mean_squares)`: a `Field` as that of `Drift.field` with
        `tokens`, whose velocity is a list of tensors shaped like the samples;
        and the mean square of the velocity of each feature.
    """
    stacked = [_stacked(points, part, after) for part in points.parts()]
    gram = ops.concatenate(
        [backend.matmul(each, ops.swapaxes(each, -1, -2)) for each in stacked],
        axis=1,
    )
    size = gram.shape[-1]
    gram = ops.reshape(gram, (-1, size, size))
    distances = distances_of_gram(gram, points.counts[0])
    inputs = _inputs(drift, points, gram, placement)
    positives, negatives = _pairs(inputs, distances)
    mean = drift.mean_distance(inputs, positives, negatives)
    mean = ops.where(mean > COINCIDENT, mean, 1.0)
    block = side_by_side([negatives.whole(), positives.whole()])
    coefficients, masses = zip(
        *drift.normalization.coefficients(
            drift.kernel,
            block._replace(costs=distances / mean),
            inputs.negatives.points.shape[1],
        ),
        strict=True,
    )
    squares = [
        _without_rounding(square, mass, mean)
        for square, mass in zip(
            _squared_lengths(coefficients, gram), masses, strict=True
        )
    ]
    mean_squares = inputs.means(squares) / points.dim
    length_scale = inputs.per_feature(mean) / points.dim**0.5
    factors = drift.factors(inputs, mean_squares, length_scale)
    total = sum(
        each * factor
        for each, factor in zip(coefficients, factors, strict=True)
    )
    field = Field(
        _velocities(total, stacked, points),
        length_scale,
        ops.sqrt(ops.moveaxis(mean_squares, 0, -1) * points.dim),
    )
    (squares,) = _squared_lengths([total], gram)
    # Rounding may make the last one negative.
    return field, ops.maximum(inputs.mean(squares) / points.dim, 0.0)


def _stacked(points, part, after):
    """All points of some features around the mean of the samples.

    Returns:
        A tensor `(groups, tokens, n + k + m, dim)`: samples, unconditional
        points, positives.
    """
    count, unconditional_count, positive_count = points.counts
    samples = _by_group(points.samples[part], count)
    # The origin does not matter, and it can wait for `after`.
    after = ops.cast(after, "float32")
    known = ops.where(ops.isfinite(after), after, 0.0)
    origin = ops.mean(samples, axis=1, keepdims=True) + 0.0 * known
    sets = [samples - origin]
    if points.unconditional is not None:
        others = _by_group(points.unconditional[part], unconditional_count)
        present = points.weights[..., None, None] > 0
        sets.append(ops.where(present, others - origin, 0.0))
    sets.append(_by_group(points.positives[part], positive_count) - origin)
    return ops.concatenate(
        [ops.transpose(each, (0, 2, 1, 3)) for each in sets], axis=2
    )


def _by_group(features, count):
    """Features side by side, `(groups, count, tokens, dim)`."""
    joined = features[0]
    if len(features) > 1:
        joined = ops.concatenate(features, axis=1)
    return ops.reshape(joined, (-1, count, *joined.shape[1:]))


def _inputs(drift, points, gram, placement):
    """The inputs of a field.

    The coordinates of a point are its inner products with all points.
    """
    count, unconditional_count, _ = points.counts
    num_negatives = count + unconditional_count
    weights = points.weights
    if weights is not None:
        ones = ops.repeat(ops.ones_like(weights[:, :1]), count, axis=1)
        weights = ops.concatenate([ones, weights], axis=1)
        weights = ops.repeat(weights, sum(points.tokens), axis=0)
    return FieldInputs(
        gram[:, :count],
        PointCloud(gram[:, num_negatives:]),
        PointCloud(
            gram[:, :num_negatives],
            weights,
            contains_samples=drift.self_interaction == "excluded",
            is_masked=True,
        ),
        placement=placement,
        segments=Segments(points.tokens) if len(points.tokens) > 1 else None,
    )


def _pairs(inputs, distances):
    """The `Pairs` of the samples with positives and with negatives."""
    num_negatives = inputs.negatives.points.shape[1]
    parts = distances[..., num_negatives:], distances[..., :num_negatives]
    return [
        Pairs(
            inputs.x,
            cloud,
            lambda x, y, part=part: part,
            block_size=distances.shape[-1],
        )
        for cloud, part in zip(inputs[1:3], parts, strict=True)
    ]


def _squared_lengths(coefficients, gram):
    """Squared lengths of velocities: a list of tensors `(groups, n)`.

    Args:
        coefficients: sequence of float32 tensors `(groups, n, points)`.
        gram: float32 tensor `(groups, points, points)`.
    """
    together = ops.concatenate(coefficients, axis=1)
    products = backend.matmul(together, gram)
    squares = ops.sum(products * together, axis=-1)
    return ops.split(squares, len(coefficients), axis=1)


def _without_rounding(squares, mass, unit):
    """Squared lengths, bounded from below where only rounding is left.

    The velocity is a difference of two means of points. Where they cancel, it
    must not be amplified.
    """
    bound = _RESOLVED * mass * ops.reshape(unit, (-1, 1))
    return ops.maximum(squares, ops.square(bound))


def _velocities(coefficients, stacked, points):
    """Sums of the points of each feature: a list shaped like the samples."""
    total = sum(points.tokens)
    shape = coefficients.shape[1:]
    coefficients = ops.reshape(coefficients, (-1, total, *shape))
    found, start = [], 0
    for part, each in zip(points.parts(), stacked, strict=True):
        end = start + each.shape[1]
        velocity = backend.matmul(coefficients[:, start:end], each)
        velocity = ops.transpose(velocity, (0, 2, 1, 3))
        velocity = ops.reshape(velocity, (-1, *velocity.shape[2:]))
        found += _split(velocity, points.tokens[part])
        start = end
    return found


def _split(velocity, tokens):
    """The velocities of features that were put side by side."""
    if len(tokens) == 1:
        return [velocity]
    return ops.split(velocity, list(itertools.accumulate(tokens[:-1])), axis=1)
