"""The range of frequencies that samples resolve."""

import math

import keras
import numpy as np

from keras_drift import checks

# Of which the distances of all pairs are computed.
_MOST_SAMPLES = 2048
# Whose spectrum is computed: the more, the lower its noise. In many dimensions
# the product of both is bounded.
_MOST_SAMPLES_OF_SPECTRUM = 8192
_MOST_NUMBERS_OF_SPECTRUM = 2**20
_DIRECTIONS = 256
_BANDS_PER_OCTAVE = 4
# Of the distances to the center: beyond are outliers.
_EXTENT = 0.995


def frequency_range(samples, seed):
    """The lowest and the highest resolved frequency, and what limits it.

    Args:
        samples: float64 array `(n, d)`.
        seed: int.

    Returns:
        `(k_min, k_max, reason)`, in radians per unit of length.
    """
    rng = np.random.default_rng(seed)
    # Along a constant axis every wave has full power.
    varying = np.ptp(samples, axis=0) > 0
    if np.any(varying):
        samples = samples[:, varying]
    nearby = _subset(samples, rng, _MOST_SAMPLES)
    longest, extent, shortest = _distances(nearby)
    affordable = _MOST_NUMBERS_OF_SPECTRUM // samples.shape[1]
    most = min(_MOST_SAMPLES_OF_SPECTRUM, max(_MOST_SAMPLES, affordable))
    samples = _subset(samples, rng, most)
    # Half a wavelength: the extent, and the distance of neighbors.
    k_min, k_nearest = math.pi / extent, math.pi / shortest
    # Bands that an outlier does not shift, but for the empty ones below.
    skipped = math.floor(_BANDS_PER_OCTAVE * math.log2(longest / extent))
    k_first = math.pi / longest * 2 ** (skipped / _BANDS_PER_OCTAVE)
    k_power = _end_of_spectrum(samples, k_first, k_nearest, rng)
    if k_power < k_nearest:
        return k_min, max(k_power, k_min), "their power spectrum"
    return k_min, k_nearest, "the distance of nearest neighbors"


def planned_range(data, dim, k_min, k_max, seed):
    """The range of frequencies of a plan, from its arguments.

    Args:
        data: float array `(n, ...)`, or `None`.
        dim: int, the dimension of the samples; `None` for the number of
            coordinates of the data that vary.
        k_min: float > 0; `None` for that of the data.
        k_max: float >= `k_min`; `None` for that of the data.
        seed: int.

    Returns:
        `(data, dim, k_min, k_max, in_words)`: the data flattened, and a
        sentence about the range.
    """
    checks.non_negative_integer("seed", seed)
    if data is not None:
        data = checked_samples(data)
        if dim is None:
            dim = max(int(np.sum(np.ptp(data, axis=0) > 0)), 1)
    dim = checks.positive_integer("dim", 1 if dim is None else dim)
    k_min, k_max, origin = _checked_range(data, k_min, k_max, seed)
    return data, dim, k_min, k_max, range_in_words(k_min, k_max, origin)


def range_in_words(k_min, k_max, origin):
    """The sentence that a plan begins with."""
    return (
        f"Frequencies: {k_min:.3g} to {k_max:.3g} radians per unit of length, "
        f"waves of {2 * math.pi / k_min:.3g}\ndown to "
        f"{2 * math.pi / k_max:.3g} ({origin}).\n"
    )


def unit_of_length(data, relative, seed):
    """The length that bandwidths are multiples of, and a line about it."""
    if not relative:
        return 1.0, (
            "Bandwidths are in the units of the data, for a drift with "
            "relative=False.\n"
        )
    if data is None:
        raise ValueError(
            "Relative bandwidths are in units of the mean distance between "
            "samples, which a plan measures in the data. Pass "
            "`data`, or plan with relative=False. Received: data=None, "
            f"relative={relative!r}"
        )
    length = mean_distance(data, seed)
    return length, (
        "Bandwidths are in units of the mean distance of two samples, "
        f"{length:.3g},\nfor a drift with relative=True.\n"
    )


def mean_distance(samples, seed, power=1):
    """Mean distance of two samples `(n, d)`: of distinct pairs.

    Args:
        samples: float64 array `(n, d)`.
        seed: int, of the subset.
        power: int, 1 or 2 for the root mean square. Defaults to `1`.
    """
    samples = _subset(samples, np.random.default_rng(seed), _MOST_SAMPLES)
    squared = np.maximum(_squared_distances(samples)[0], 0.0)
    np.fill_diagonal(squared, 0.0)
    powers = squared ** (power / 2)
    mean = powers.sum() / (len(samples) * (len(samples) - 1))
    mean = mean ** (1 / power)
    if not mean > 0:
        raise ValueError(
            "All samples coincide, so their mean distance is no unit of "
            f"length. Received: data of {len(samples)} equal samples"
        )
    return float(mean)


def _subset(samples, rng, most):
    """At most so many of them, around their mean."""
    if len(samples) > most:
        chosen = rng.choice(len(samples), most, replace=False)
        samples = samples[chosen]
    return samples - samples.mean(axis=0)


def _squared_distances(samples):
    """Of all pairs, and the squared lengths."""
    squares = np.square(samples).sum(axis=1)
    return squares[:, None] + squares - 2 * samples @ samples.T, squares


def _distances(samples):
    """The largest distance, the extent, and the distance of neighbors.

    The extent is the largest distance without outliers: one distant sample is
    no coarse structure. The distance of nearest neighbors is the median.
    """
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
    radii = np.linalg.norm(samples - np.median(samples, axis=0), axis=1)
    inside = radii <= np.quantile(radii, _EXTENT) * (1 + 1e-9)
    within = squared[np.ix_(inside, inside)]
    if not np.any(np.isfinite(within)):  # all but the outliers coincide
        within = squared
    squares = (
        squared[np.isfinite(squared)].max(),
        within[np.isfinite(within)].max(),
        np.median(nearest),
    )
    return tuple(math.sqrt(square) for square in squares)


def _end_of_spectrum(samples, k, k_max, rng):
    """The first frequency band whose power is at the noise level.

    The power `|mean exp(i k.x)|^2` of `n` independent samples is that of their
    density plus at most `1 / n`, which is noise. A band is a quarter of an
    octave, averaged over random directions.
    """
    n, dim = samples.shape
    width = 2 ** (1 / _BANDS_PER_OCTAVE)
    while k < k_max:
        directions = rng.normal(size=(_DIRECTIONS, dim))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        radii = k * width ** rng.uniform(size=(_DIRECTIONS, 1))
        phases = samples @ (radii * directions).T
        power = np.cos(phases).mean(axis=0) ** 2
        power += np.sin(phases).mean(axis=0) ** 2
        if power.mean() < 2 / n:
            return k
        k *= width
    return k_max


def checked_samples(data):
    """Samples as a finite float64 array `(n, d)`."""
    if isinstance(data, keras.utils.PyDataset):
        raise TypeError(
            "`data` is one array of samples `(n, ...)`, not a data set of "
            f"batches. Received: data={type(data).__name__}"
        )
    checks.no_masked_entries("data", data)
    try:
        data = np.asarray(data, "float64")
    except (TypeError, ValueError) as error:
        raise TypeError(
            "`data` is one array of samples `(n, ...)`. "
            f"Received: data={type(data).__name__}"
        ) from error
    if not np.all(np.isfinite(data)):
        raise ValueError(
            "`data` must be finite. Received: data with "
            f"{np.sum(~np.isfinite(data))} numbers that are not"
        )
    if data.ndim < 2 or len(data) < 2:
        raise ValueError(
            "`data` are samples `(n, ...)`, at least two. Give samples "
            "that are single numbers an axis of their own: `data[:, None]`. "
            f"Received: data.shape={data.shape}"
        )
    return data.reshape(len(data), -1)


def _checked_range(data, k_min, k_max, seed):
    """Both ends of the range as floats, and their origin in words."""
    for name, value in (("k_min", k_min), ("k_max", k_max)):
        if value is not None:
            checks.positive_number(name, value, "is an angular frequency > 0")
    origin = "as given"
    if k_min is None or k_max is None:
        if data is None:
            raise ValueError(
                "A plan needs the range of frequencies, or data to estimate it "
                f"from. Received: data=None, k_min={k_min}, k_max={k_max}"
            )
        lowest, highest, reason = frequency_range(data, seed)
        origin = _origin(k_min, k_max, reason)
        k_min = lowest if k_min is None else k_min
        # The data may reach less far than the end that was given.
        k_max = max(highest, k_min) if k_max is None else k_max
    if k_max < k_min:
        raise ValueError(
            "`k_max` must not be below `k_min`. "
            f"Received: k_min={k_min}, k_max={k_max}"
        )
    return float(k_min), float(k_max), origin


def _origin(k_min, k_max, reason):
    """Where the ends of a range come from, of which one or none is given."""
    if k_max is not None:
        return "the coarsest from the data, the finest as given"
    if k_min is not None:
        return f"the coarsest as given, the finest by {reason}"
    return f"from the data; the finest by {reason}"
