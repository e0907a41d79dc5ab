"""Points that stand for a Gaussian in an average."""

import functools
import math

import numpy as np

# Beyond, a grid of nodes would have too few of them along each axis.
_LARGEST_GRID_DIM = 2


@functools.lru_cache(maxsize=16)
def gaussian_nodes(count, dim, seed=0):
    """Nodes and weights with which to average over a standard Gaussian.

    In one and two dimensions they are those of Gauss and Hermite: `k` along an
    axis are exact for polynomials up to degree `2 k - 1`. Beyond, they are
    normal draws in pairs of opposite sign, scaled to the right mean square, so
    that odd functions and the square of the radius are averaged exactly.

    Args:
        count: int >= 1, the number of nodes. In two dimensions it is rounded
            down to a square. A single node is the center.
        dim: int >= 1, the dimension of space.
        seed: int, of the draws, beyond two dimensions. Defaults to `0`.

    Returns:
        A tuple `(nodes, weights)` of float64 NumPy arrays, `(k, dim)` and
        `(k,)`. The weights add up to 1. Do not write into them: they are kept.

    Example:

    >>> from keras_drift import ops
    >>> nodes, weights = ops.gaussian_nodes(9, dim=2)
    >>> round(float(weights @ nodes[:, 0] ** 4), 6)  # E[z**4]
    3.0
    """
    if dim <= _LARGEST_GRID_DIM:
        return _grid(max(1, int(math.isqrt(count) if dim == 2 else count)), dim)
    return _opposite_draws(count, dim, seed)


def _grid(size, dim):
    nodes, weights = np.polynomial.hermite_e.hermegauss(size)
    axes = np.meshgrid(*[nodes] * dim, indexing="ij")
    products = functools.reduce(np.multiply.outer, [weights] * dim).ravel()
    return np.stack([a.ravel() for a in axes], -1), products / products.sum()


def _opposite_draws(count, dim, seed):
    draws = np.random.default_rng(seed).normal(size=(count // 2, dim))
    # Of an odd number, the one without a partner is the center.
    nodes = np.concatenate([draws, -draws, np.zeros((count % 2, dim))])
    mean_square = np.square(nodes).mean()
    if mean_square > 0:
        nodes /= math.sqrt(mean_square)
    return nodes, np.full(count, 1 / count)
