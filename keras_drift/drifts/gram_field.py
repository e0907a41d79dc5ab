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
# The numbers of a sample in a part: as few as keep the points of a part in the
# cache of a processor between two products.
_FEW_NUMBERS = 2**15
# In programs that are compiled, large features have about this many parts, at
# most twice as many.
_FEW_PARTS = 36
# The fraction of a part below which features share one. Larger ones have parts
# of their own, which saves a copy; those of one shape share compiled code.
_SMALL = 0.2


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
    def dims(self):
        """The dimension of each feature."""
        return [feature.shape[-1] for feature in self.samples]

    def parts(self):
        """Partition of the tokens of all features.

        The points of a part are put side by side: several features of one
        dimension, or some tokens of a feature that is larger.

        Returns:
            A list of lists of tuples `(feature, first token, end)`.
        """
        forms = list(zip(self.tokens, self.dims, strict=True))
        limit = _most_numbers(sum(tokens * dim for tokens, dim in forms))
        parts, room, previous = [], 0, None
        for feature, (tokens, dim) in enumerate(forms):
            if tokens * dim > _SMALL * limit:
                cuts = _cuts(tokens, limit / dim)
                parts += [[(feature, start, end)] for start, end in cuts]
                previous = None
                continue
            if dim != previous or tokens * dim > room:
                parts.append([])
                room, previous = limit, dim
            parts[-1].append((feature, 0, tokens))
            room -= tokens * dim
        return parts


def _cuts(tokens, most):
    """Cuts tokens into nearly equal pieces of at most about so many.

    Their number is a power of two. Pieces of one size share compiled code.

    Returns:
        A list of tuples `(first token, end)`.
    """
    count = 1
    while count < min(tokens, tokens / most):
        count *= 2
    ends = [tokens * number // count for number in range(count + 1)]
    return [cut for cut in itertools.pairwise(ends) if cut[0] < cut[1]]


def _most_numbers(total):
    """The most numbers of a sample in a part, of so many in all parts."""
    if backend.COMPILES:
        return max(total // _FEW_PARTS, _FEW_NUMBERS // 2)
    return _FEW_NUMBERS


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
    return bool(
        points is not None
        and sum(points.counts) <= min(points.dims)
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


def gram_field(drift, points, placement):
    """Computes the field of features.

    Args:
        drift: `KernelDrift` that `suits`.
        points: `GramPoints`.
        placement: see `Drift.field`.

    Returns:
        `(field, mean_squares)`: a `Field` as that of `Drift.field` with
        `tokens`, whose velocity is a list of tensors shaped like the samples;
        and the mean square of the velocity of each feature. The norm is no
        less than what rounding leaves of samples at rest, a thousandth of the
        distances between the points.
    """
    gram = _gram(points)
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
    dims = _per_feature(points.dims)
    mean_squares = inputs.means(squares)
    length_scale = inputs.per_feature(mean) / dims**0.5
    factors = drift.factors(inputs, mean_squares / dims, length_scale)
    total = sum(
        each * factor
        for each, factor in zip(coefficients, factors, strict=True)
    )
    norm = ops.sqrt(ops.moveaxis(mean_squares, 0, -1))
    (squares,) = _squared_lengths([total], gram)
    velocity = _velocities(total, points, norm)
    field = Field(velocity, length_scale, norm)
    # Rounding may make the last one negative.
    return field, ops.maximum(inputs.mean(squares) / dims, 0.0)


def _per_feature(dims):
    """What is a number for one feature, and a tensor for several."""
    if len(dims) == 1:
        return float(dims[0])
    return ops.convert_to_tensor(dims, "float32")


def _gram(points):
    """Inner products of the points of each token, `(groups, points, points)`.

    The groups are those of the batch, and in each one all tokens.
    """
    found = _part_by_part(
        points,
        lambda stacked, part: backend.matmul(
            stacked, ops.swapaxes(stacked, -1, -2)
        ),
        points.samples[0],
    )
    gram = ops.concatenate(found, axis=1)
    size = gram.shape[-1]
    return ops.reshape(gram, (-1, size, size))


def _part_by_part(points, compute, after):
    """Computes a tensor of the points of each part.

    A part waits for the result of the one before the last, so that the points
    of few are in memory at once.

    Args:
        points: `GramPoints`.
        compute: function of what `_stacked` returns, and of the part.
        after: tensor that the first parts wait for.
    """
    found, zeros = [], [backend.zero_after(after)] * 2
    for number, part in enumerate(points.parts()):
        found.append(compute(_stacked(points, part, zeros[number]), part))
        zeros.append(backend.zero_after(found[-1]))
    return found


def _stacked(points, part, zero):
    """The points of a part around the origin of each group.

    Args:
        points: `GramPoints`.
        part: one of `points.parts()`.
        zero: what `backend.zero_after` returned for what comes first.

    Returns:
        A tensor `(groups, tokens, n + k + m, dim)`: samples, unconditional
        points, positives.
    """
    count, unconditional_count, positive_count = points.counts
    samples = _by_group(points.samples, part, count)
    positives = _by_group(points.positives, part, positive_count)
    origin = _origin(samples, positives)
    sets = [samples - origin]
    if points.unconditional is not None:
        others = _by_group(points.unconditional, part, unconditional_count)
        present = points.weights[..., None, None] > 0
        sets.append(ops.where(present, others - origin, 0.0))
    # The zero comes last: XLA then compiles one program for all parts that
    # have the same shape.
    sets.append(positives - (origin + zero))
    return ops.concatenate(
        [ops.transpose(each, (0, 2, 1, 3)) for each in sets], axis=2
    )


def _origin(samples, positives):
    """A point among the samples of each group, `(groups, 1, tokens, dim)`.

    Differences do not depend on the origin; near the points, they are exact.
    The median of three is near them, even where one of the three is not.
    """
    third = samples[:, 1:2] if samples.shape[1] > 2 else positives[:, :1]
    return _median(samples[:, :1], samples[:, -1:], third)


def _median(x, y, z):
    """The median of three tensors, by coordinates."""
    low, high = ops.minimum(x, y), ops.maximum(x, y)
    return ops.maximum(low, ops.minimum(high, z))


def _by_group(features, part, count):
    """The tokens of a part side by side, `(groups, count, tokens, dim)`."""
    pieces = [_cut(features[number], *tokens) for number, *tokens in part]
    joined = ops.concatenate(pieces, axis=1) if len(pieces) > 1 else pieces[0]
    return ops.reshape(joined, (-1, count, *joined.shape[1:]))


def _cut(feature, start, end):
    """Some tokens of a feature. To slice all of them takes time to trace."""
    return feature if end - start == feature.shape[1] else feature[:, start:end]


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


def _velocities(coefficients, points, after):
    """Sums of the points of each feature: a list shaped like the samples.

    Args:
        coefficients: float32 tensor `(groups, n, points)`.
        points: `GramPoints`. They are put side by side once more: all of them
            together take more memory than that takes time.
        after: see `_part_by_part`.
    """
    starts = [0, *itertools.accumulate(points.tokens)]
    shape = starts[-1], *coefficients.shape[1:]
    coefficients = ops.reshape(coefficients, (-1, *shape))

    def velocity(stacked, part):
        (feature, start, _), (last, _, end) = part[0], part[-1]
        rows = slice(starts[feature] + start, starts[last] + end)
        found = backend.matmul(coefficients[:, rows], stacked)
        found = ops.transpose(found, (0, 2, 1, 3))
        return ops.reshape(found, (-1, *found.shape[2:]))

    pieces = [[] for _ in points.samples]
    found = _part_by_part(points, velocity, after)
    for part, velocities in zip(points.parts(), found, strict=True):
        for (feature, *_), piece in zip(
            part, _split(velocities, part), strict=True
        ):
            pieces[feature].append(piece)
    return [
        ops.concatenate(each, axis=1) if len(each) > 1 else each[0]
        for each in pieces
    ]


def _split(velocity, part):
    """The velocities of the features of a part."""
    if len(part) == 1:
        return [velocity]
    ends = itertools.accumulate(end - start for _, start, end in part[:-1])
    return ops.split(velocity, list(ends), axis=1)
