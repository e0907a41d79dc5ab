"""Distances between all pairs of two sets of points."""

from keras import ops

from keras_drift import backend

# Up to here coordinates are subtracted one by one, which loses no digits;
# beyond, one matrix product is faster and the digits it loses matter less,
# since distances in many dimensions differ little from each other.
_FEW_COORDINATES = 8
# A square as good as zero, whose root float32 holds.
_SMALLEST = 1e-37


def pairwise_distances(x, y):
    """Euclidean distance of every point of `x` to every point of `y`.

    Args:
        x: float tensor `(..., n, d)`.
        y: float tensor `(..., m, d)`.

    Returns:
        float32 tensor `(..., n, m)`. Coincident points are at distance 0, in
        more than eight dimensions up to rounding, and have gradient 0.

    Example:

    >>> from keras_drift import ops
    >>> x, y = np.zeros((1, 2)), np.array([[3.0, 4.0], [0.0, 0.0]])
    >>> keras.ops.convert_to_numpy(ops.pairwise_distances(x, y)).tolist()
    [[5.0, 0.0]]
    """
    if backend.distances is not None:
        few = x.shape[-1] <= _FEW_COORDINATES
        return backend.distances(*_about_a_centre(x, y), exact=few)
    # `sqrt` is infinitely steep at 0: coincident points get gradient 0.
    if x.shape[-1] > _FEW_COORDINATES:
        squared = _squares_minus_products(x, y)
        return ops.sqrt(ops.maximum(squared, _SMALLEST))
    squared = squared_distances(x, y)
    coincident = squared == 0
    roots = ops.sqrt(ops.where(coincident, 1.0, squared))
    return ops.where(coincident, 0.0, roots)


def squared_distances(x, y):
    """Squares of `pairwise_distances`, with the same arguments."""
    if x.shape[-1] <= _FEW_COORDINATES:
        return _sum_of_squared_differences(x, y)
    return ops.maximum(_squares_minus_products(x, y), 0.0)


def half_squared_distances(x, y):
    """Halves of `squared_distances`: the cost of optimal transport."""
    return 0.5 * squared_distances(x, y)


def _sum_of_squared_differences(x, y):
    x, y = ops.cast(x, "float32"), ops.cast(y, "float32")
    return sum(
        ops.square(x[..., :, None, i] - y[..., None, :, i])
        for i in range(x.shape[-1])
    )


def _squares_minus_products(x, y):
    x, y = _about_a_centre(x, y)
    x_squares = ops.sum(ops.square(x), axis=-1)[..., :, None]
    y_squares = ops.sum(ops.square(y), axis=-1)[..., None, :]
    products = backend.matmul(x, ops.swapaxes(y, -1, -2))
    return x_squares + y_squares - 2 * products


def _about_a_centre(x, y):
    """Both clouds moved alike, so that an offset of both costs no digits."""
    x, y = ops.cast(x, "float32"), ops.cast(y, "float32")
    centre = ops.mean(y, axis=-2, keepdims=True)
    return x - centre, y - centre
