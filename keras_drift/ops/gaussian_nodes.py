"""Quadrature nodes of the standard Gaussian."""

import functools
import math

import numpy as np

# Beyond, a grid of nodes would have too few of them along each axis.
_LARGEST_GRID_DIM = 2


@functools.lru_cache(maxsize=16)
def gaussian_nodes(count, dim, seed=0):
    """Quadrature nodes and weights of the standard Gaussian.

    In one and two dimensions Gauss-Hermite nodes, of which `k` along an axis
    are exact for polynomials up to degree `2 k - 1`. Beyond, antithetic normal
    draws, rescaled to unit mean square, so that odd functions and the squared
    radius are averaged exactly.

    Args:
        count: int >= 1, the number of nodes. In two dimensions it is rounded
            down to a square. A single node is the center.
        dim: int >= 1, the dimension of space.
        seed: int, of the draws, beyond two dimensions. Defaults to `0`.

    Returns:
        A tuple `(nodes, weights)` of float64 NumPy arrays, `(k, dim)` and
        `(k,)`. The weights add up to 1. They are cached, so read-only.

    Example:

    >>> from keras_drift import ops
    >>> nodes, weights = ops.gaussian_nodes(9, dim=2)
    >>> round(float(weights @ nodes[:, 0] ** 4), 6)  # E[z**4]
    3.0
    """
    if dim <= _LARGEST_GRID_DIM:
        size = max(1, int(math.isqrt(count) if dim == 2 else count))
        arrays = _grid(size, dim)
    else:
        arrays = _antithetic_draws(count, dim, seed)
    for array in arrays:
        array.setflags(write=False)
    return arrays


def _grid(size, dim):
    nodes, weights = np.polynomial.hermite_e.hermegauss(size)
    axes = np.meshgrid(*[nodes] * dim, indexing="ij")
    products = functools.reduce(np.multiply.outer, [weights] * dim).ravel()
    return np.stack([a.ravel() for a in axes], -1), products / products.sum()


def _antithetic_draws(count, dim, seed):
    draws = np.random.default_rng(seed).normal(size=(count // 2, dim))
    # Of an odd number, the unpaired one is the center.
    nodes = np.concatenate([draws, -draws, np.zeros((count % 2, dim))])
    mean_square = np.square(nodes).mean()
    if mean_square > 0:
        nodes /= math.sqrt(mean_square)
    return nodes, np.full(count, 1 / count)
