"""Distances between all pairs of two point clouds."""

from keras import ops

from keras_drift import backend

# Up to here coordinates are subtracted one by one, which loses no digits;
# beyond, one matrix product is faster and the digits it loses matter less,
# since distances in many dimensions differ little from each other.
FEW_COORDINATES = 8
# A square as good as zero, whose root float32 holds.
_SMALLEST = 1e-37
# A little above its root, however a backend rounds.
_SMALLEST_ROOT = 4e-19
# Nearer than that, points are one: above the root of `_SMALLEST`, in any unit.
COINCIDENT = 1e-12


def pairwise_distances(x, y, centered=False):
    """Euclidean distance of every point of `x` to every point of `y`.

    Args:
        x: float tensor `(..., n, d)`.
        y: float tensor `(..., m, d)`.
        centered: bool, whether the points lie around the origin. Otherwise
            they are moved there, since a common offset costs digits in more
            than eight dimensions. Defaults to `False`.

    Returns:
        float32 tensor `(..., n, m)`. Coincident points are at distance 0, in
        more than eight dimensions up to rounding, and have gradient 0.

    Example:

    >>> from keras_drift import ops
    >>> x, y = np.zeros((1, 2)), np.array([[3.0, 4.0], [0.0, 0.0]])
    >>> keras.ops.convert_to_numpy(ops.pairwise_distances(x, y)).tolist()
    [[5.0, 0.0]]
    """
    few = x.shape[-1] <= FEW_COORDINATES
    x, y = _moved(x, y, few or centered)
    if backend.distances is not None:
        return backend.distances(x, y, exact=few)
    square = _sum_of_squared_differences if few else _squares_minus_products
    # `sqrt` is infinitely steep at 0: coincident points get gradient 0.
    roots = ops.sqrt(ops.maximum(square(x, y), _SMALLEST))
    if not few:
        return roots
    # Asked of the root: compilers would compute all of the squares again.
    return ops.where(roots < _SMALLEST_ROOT, 0.0, roots)


def distances_of_gram(gram, count):
    """Euclidean distances of points from their inner products.

    Args:
        gram: float32 tensor `(..., points, points)`, the inner products of all
            points. The origin is near them, since a common offset costs digits.
        count: int, the first points, whose distances to all are computed.

    Returns:
        float32 tensor `(..., count, points)`. Coincident points are at distance
        0 up to rounding, and have gradient 0.
    """
    squares = ops.diagonal(gram, axis1=-2, axis2=-1)
    between = squares[..., :count, None] + squares[..., None, :]
    between = between - 2 * gram[..., :count, :]
    return ops.sqrt(ops.maximum(between, _SMALLEST))


def squared_distances(x, y, centered=False):
    """Squares of `pairwise_distances`, with the same arguments."""
    few = x.shape[-1] <= FEW_COORDINATES
    x, y = _moved(x, y, few or centered)
    if few:
        return _sum_of_squared_differences(x, y)
    return ops.maximum(_squares_minus_products(x, y), 0.0)


def half_squared_distances(x, y, centered=False):
    """Halves of `squared_distances`: the cost of optimal transport."""
    return 0.5 * squared_distances(x, y, centered)


def unit_vectors(points):
    """Points normalized to unit length, float32.

    Args:
        points: float tensor `(..., d)`. The origin, which has no direction,
            stays where it is, with gradient 0.
    """
    points = ops.cast(points, "float32")
    squares = _squared_lengths(points)
    safe = squares > _SMALLEST
    scale = ops.rsqrt(ops.where(safe, squares, 1.0))
    return points * ops.where(safe, scale, 0.0)


def lengths(points):
    """Euclidean norms of the points: float32, `(..., 1)`."""
    points = ops.cast(points, "float32")
    return ops.sqrt(ops.maximum(_squared_lengths(points), _SMALLEST))


def _squared_lengths(points):
    return ops.sum(ops.square(points), axis=-1, keepdims=True)


def log_distance(distance):
    """`log(distance)`, plus infinity where points coincide.

    Then `exp(-log_distance)`, the factor from a difference to a unit vector,
    is 0 there.

    Args:
        distance: float tensor, distances in any unit.
    """
    apart = distance > COINCIDENT
    logs = ops.log(ops.where(apart, distance, 1.0))
    return ops.where(apart, logs, float("inf"))


def _sum_of_squared_differences(x, y):
    return sum(
        ops.square(x[..., :, None, i] - y[..., None, :, i])
        for i in range(x.shape[-1])
    )


def _squares_minus_products(x, y):
    x_squares = ops.sum(ops.square(x), axis=-1)[..., :, None]
    y_squares = ops.sum(ops.square(y), axis=-1)[..., None, :]
    products = backend.matmul(x, ops.swapaxes(y, -1, -2))
    return x_squares + y_squares - 2 * products


def _moved(x, y, centered):
    """Both clouds in float32, centered where that saves digits."""
    x, y = ops.cast(x, "float32"), ops.cast(y, "float32")
    if centered:
        return x, y
    center = ops.mean(y, axis=-2, keepdims=True)
    return x - center, y - center
