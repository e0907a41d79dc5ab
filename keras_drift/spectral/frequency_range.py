"""The range of frequencies that samples resolve."""

import math

import numpy as np

_MOST_SAMPLES = 2048
_DIRECTIONS = 256
_BANDS_PER_OCTAVE = 4


def frequency_range(samples, seed):
    """The lowest and the highest resolved frequency, and what limits it.

    Args:
        samples: float64 array `(n, d)`.
        seed: int.

    Returns:
        `(k_min, k_max, reason)`, in radians per unit of length.
    """
    rng = np.random.default_rng(seed)
    samples = _subset(samples, rng)
    longest, shortest = _distances(samples)
    # Half a wavelength: the diameter, and the distance of neighbors.
    k_min, k_nearest = math.pi / longest, math.pi / shortest
    k_power = _end_of_spectrum(samples, k_min, k_nearest, rng)
    if k_power < k_nearest:
        return k_min, k_power, "their power spectrum"
    return k_min, k_nearest, "the distance of nearest neighbors"


def mean_distance(samples, seed):
    """Mean distance of two samples `(n, d)`: of distinct pairs."""
    samples = _subset(samples, np.random.default_rng(seed))
    distances = np.sqrt(np.maximum(_squared_distances(samples)[0], 0.0))
    np.fill_diagonal(distances, 0.0)
    mean = distances.sum() / (len(samples) * (len(samples) - 1))
    if not mean > 0:
        raise ValueError(
            "All samples coincide, so their mean distance is no unit of "
            f"length. Received: data of {len(samples)} equal samples"
        )
    return float(mean)


def _subset(samples, rng):
    """At most so many of them, around their mean."""
    if len(samples) > _MOST_SAMPLES:
        chosen = rng.choice(len(samples), _MOST_SAMPLES, replace=False)
        samples = samples[chosen]
    return samples - samples.mean(axis=0)


def _squared_distances(samples):
    """Of all pairs, and the squared lengths."""
    squares = np.square(samples).sum(axis=1)
    return squares[:, None] + squares - 2 * samples @ samples.T, squares


def _distances(samples):
    """The largest distance, and the median one to a nearest neighbor."""
    squared, squares = _squared_distances(samples)
    # Coincident points, up to rounding.
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
    """The first frequency band whose power is at the noise level.

    The power `|mean exp(i k.x)|^2` of `n` independent samples is that of their
    density plus at most `1 / n`, which is noise. A band is a quarter of an
    octave, averaged over random directions.
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
