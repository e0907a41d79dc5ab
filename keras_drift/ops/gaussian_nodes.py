"""Points that stand for a Gaussian."""

import numpy as np


def gaussian_nodes(count, dim, seed=0):
    """Nodes and weights whose sums are means over a standard Gaussian.

    In one dimension, and in two for a square `count`, they are the nodes of
    Gauss and Hermite, exact for polynomials of a degree below twice the number
    of nodes per coordinate. Otherwise they are random, in pairs of opposite
    sign, so that odd functions have mean 0.

    Args:
        count: int >= 1, how many nodes.
        dim: int >= 1, the dimension of space.
        seed: int, of the random nodes. Defaults to `0`.

    Returns:
        `(nodes, weights)`, float64 NumPy arrays `(count, dim)` and `(count,)`;
        the weights sum to 1.

    Example:

    >>> from keras_drift import ops
    >>> nodes, weights = ops.gaussian_nodes(3, dim=1)
    >>> round(float(np.sum(weights * nodes[:, 0] ** 4)), 6)
    3.0
    """
    per_axis = round(count ** (1 / dim))
    if dim <= 2 and per_axis**dim == count:
        axis, weights = np.polynomial.hermite_e.hermegauss(per_axis)
        grid = np.meshgrid(*[axis] * dim, indexing="ij")
        products = np.prod(
            np.meshgrid(*[weights / weights.sum()] * dim, indexing="ij"), axis=0
        )
        return np.stack(grid, axis=-1).reshape(count, dim), products.ravel()
    half = np.random.default_rng(seed).normal(size=(count // 2, dim))
    # An odd one is left over: it stays where the samples are.
    rest = np.zeros((count % 2, dim))
    return np.concatenate([half, -half, rest]), np.full(count, 1 / count)
