"""The frequencies that samples have something to say about."""

import math

import numpy as np

_MOST_SAMPLES = 2048
_DIRECTIONS = 256
_BANDS_PER_OCTAVE = 4


def frequency_range(samples, seed):
    """The lowest and the highest frequency of samples, and what limits it.

    Args:
        samples: float64 array `(n, d)`.
        seed: int.

    Returns:
        `(k_min, k_max, reason)`, in radians per unit of length.
    """
    rng = np.random.default_rng(seed)
    if len(samples) > _MOST_SAMPLES:
        chosen = rng.choice(len(samples), _MOST_SAMPLES, replace=False)
        samples = samples[chosen]
    samples = samples - samples.mean(axis=0)
    longest, shortest = _distances(samples)
    # Half a wave across all samples, and half a wave between neighbors.
    k_min, k_nearest = math.pi / longest, math.pi / shortest
    k_power = _end_of_spectrum(samples, k_min, k_nearest, rng)
    if k_power < k_nearest:
        return k_min, k_power, "their power spectrum"
    return k_min, k_nearest, "the distance of nearest neighbors"


def _distances(samples):
    """The largest distance, and the median one to a nearest neighbor."""
    squares = np.square(samples).sum(axis=1)
    squared = squares[:, None] + squares - 2 * samples @ samples.T
    # What rounding leaves of coincident points is no distance.
    squared[squared <= 1e-12 * squares.max()] = np.inf
    nearest = squared.min(axis=1)
    nearest = nearest[np.isfinite(nearest)]
    if nearest.size == 0:
        raise ValueError(
            "All samples coincide, so they have no frequencies. Received: "
            f"data of {len(samples)} equal samples"
        )
    longest = squared[np.isfinite(squared)].max()
    return math.sqrt(longest), math.sqrt(np.median(nearest))


def _end_of_spectrum(samples, k_min, k_max, rng):
    """The first band of frequencies where samples say less than noise.

    The power `|mean exp(i k.x)|^2` of `n` independent samples is that of their
    density plus at most `1 / n`, which is noise. Each band is a quarter of an
    octave, met in random directions.
    """
    n, dim = samples.shape
    width = 2 ** (1 / _BANDS_PER_OCTAVE)
    k = k_min
    while k < k_max:
        directions = rng.normal(size=(_DIRECTIONS, dim))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        radii = k * width ** rng.uniform(size=(_DIRECTIONS, 1))
        waves = np.exp(1j * samples @ (radii * directions).T)
        if np.mean(np.abs(waves.mean(axis=0)) ** 2) < 2 / n:
            return k
        k *= width
    return k_max
