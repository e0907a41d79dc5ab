"""Roots of covariances."""

from keras import ops


def covariance_factor(covariance):
    """A matrix `f` with `f f^T` equal to the covariance.

    Args:
        covariance: float tensor `(..., d, d)`, symmetric. Negative eigenvalues
            are taken for zero.

    Returns:
        A tensor `(..., d, d)`.
    """
    values, vectors = ops.eigh(covariance)
    return vectors * ops.sqrt(ops.maximum(values, 0.0))[..., None, :]
