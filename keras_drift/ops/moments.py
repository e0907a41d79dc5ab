"""Factors and overlaps of covariance matrices."""

from keras import ops

from keras_drift import backend

# Eigenvalues below this share of the largest are rounding noise.
_RANK_TOLERANCE = 1e-6


def covariance_factor(covariance):
    """A matrix `f` with `f f^T` equal to the covariance.

    Args:
        covariance: float tensor `(..., d, d)`, symmetric. Negative eigenvalues
            are taken for zero.

    Returns:
        A tensor `(..., d, d)`.
    """
    values, vectors = _eigh(covariance)
    return vectors * ops.sqrt(ops.maximum(values, 0.0))[..., None, :]


def covariance_overlap(x, y):
    """`Tr((X^1/2 Y X^1/2)^1/2)` of two covariances, as in Fréchet distances.

    It is the least of `Tr(X S + Y S^-1) / 2` over positive matrices `S`, so its
    gradients are `S / 2` and `S^-1 / 2` for the best `S`, which is held fixed:
    the decompositions are not differentiated, whose gradients divide by
    differences of eigenvalues. Along directions without variance, where the
    overlap has no finite slope, the gradient is zero.

    Args:
        x: float tensor `(d, d)`, symmetric and positive semidefinite.
        y: float tensor `(d, d)`, the same.

    Returns:
        A scalar, with a gradient of first order.
    """
    fixed = [ops.stop_gradient(each) for each in (x, y)]
    (x_factor, x_inverse), (y_factor, y_inverse) = map(_factors, fixed)
    # The singular values of a product of factors are the roots that the formula
    # asks for. Taking roots of eigenvalues instead would turn their rounding
    # error e into sqrt(e), a bias where covariances are singular.
    product = backend.matmul(ops.transpose(x_factor), y_factor)
    left, values, right = ops.svd(product, full_matrices=False)
    present = ops.cast(values > _RANK_TOLERANCE * ops.max(values), "float32")
    rotation = backend.matmul(left * present[None, :], right)
    forward = backend.matmul(
        backend.matmul(y_factor, ops.transpose(rotation)), x_inverse
    )
    back = backend.matmul(backend.matmul(x_factor, rotation), y_inverse)
    value = ops.sum(values)
    for slope, moving, held in zip((forward, back), (x, y), fixed, strict=True):
        slope = 0.25 * (slope + ops.transpose(slope))
        value = value + ops.sum(slope * (moving - held))
    return value


def _factors(covariance):
    """`covariance_factor` and its pseudoinverse."""
    values, vectors = _eigh(covariance)
    roots = ops.sqrt(ops.maximum(values, 0.0))
    present = values > _RANK_TOLERANCE * ops.max(values)
    inverse = ops.where(present, 1.0 / ops.where(present, roots, 1.0), 0.0)
    return vectors * roots[None, :], ops.transpose(vectors * inverse[None, :])


def _eigh(covariance):
    """`eigh` of a matrix of any size of numbers."""
    # Of tiny ones, the rounding of samples that are all the same, PyTorch on
    # CPUs returns NaN.
    size = ops.max(ops.abs(covariance), axis=(-2, -1), keepdims=True)
    size = ops.where(size > 0, size, 1.0)
    values, vectors = backend.eigh(covariance / size)
    return values * size[..., 0], vectors
