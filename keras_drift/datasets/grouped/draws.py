"""Sampling without replacement from many groups at once."""

import numpy as np


def draw(counts, num_draws, rng):
    """Draws indices for each group, distinct where the group is large enough.

    Time and memory grow with the number of draws, whatever the counts.

    Args:
        counts: int array `(groups,)`, each > 0, the sizes of the groups.
        num_draws: int > 0, the number of indices for each group.
        rng: `np.random.Generator`.

    Returns:
        int64 array `(groups, num_draws)`: row `g` is uniform on
        `0, ..., counts[g] - 1`, without repetition if `counts[g]` is at least
        `num_draws`, and in random order.

    Example:

    >>> from keras_drift.datasets.grouped.draws import draw
    >>> rng = np.random.default_rng(0)
    >>> sorted(draw(np.array([4]), 4, rng)[0].tolist())
    [0, 1, 2, 3]
    """
    indices = rng.integers(counts[:, None], size=(len(counts), num_draws))
    # Rejecting repeated indices is slow where half of a group or more is drawn;
    # shuffling the whole group is slow where less is.
    roomy = counts > 2 * num_draws
    tight = (counts >= num_draws) & ~roomy
    indices[tight] = _shuffle(counts[tight], num_draws, rng)
    indices[roomy] = _redraw_repeated(indices[roomy], counts[roomy], rng)
    # Both leave the indices sorted, at least partly.
    return rng.permuted(indices, axis=1)


def _shuffle(counts, num_draws, rng):
    """The indices with the smallest of as many random keys as there are."""
    width = counts.max(initial=num_draws)
    keys = rng.random((len(counts), width))
    keys[np.arange(width) >= counts[:, None]] = np.inf
    return np.argpartition(keys, num_draws - 1, axis=1)[:, :num_draws]


def _redraw_repeated(indices, counts, rng):
    """Replaces repetitions until none is left.

    All indices are treated alike, so all sets of distinct ones are as likely.
    """
    highest = np.broadcast_to(counts[:, None], indices.shape)
    repeated = np.zeros(indices.shape, bool)
    while True:
        indices.sort(axis=1)
        repeated[:, 1:] = indices[:, 1:] == indices[:, :-1]
        if not repeated.any():
            return indices
        indices[repeated] = rng.integers(highest[repeated])
