"""Toy distributions in two dimensions.

All are centered, of size about `[-2, 2]`, and made of independent samples.
"""

import numpy as np

from keras_drift import checks
from keras_drift.datasets.toys.gaussian_mixture import GaussianMixture

# Radius within which the noiseless curves stay.
_EXTENT = 2.0


def checkerboard(n, seed=None):
    """Uniform samples on the 8 dark fields of a 4 x 4 board.

    Sharp edges and holes: it shows what a wide kernel blurs. The density is
    1/8 where `floor(x) + floor(y)` is even and 0 elsewhere.

    Args:
        n: int > 0, number of samples.
        seed: int, `np.random.Generator` or `None` (different every time).

    Returns:
        float32 array `(n, 2)` in `[-2, 2]`.

    Raises:
        TypeError: if `n` or `seed` is not an integer.
        ValueError: if `n` is below one, or `seed` is negative.

    Example:

    >>> from keras_drift import datasets
    >>> x = datasets.checkerboard(1000, seed=0)
    >>> bool(np.all(np.floor(x).sum(axis=1) % 2 == 0))
    True
    """
    n, rng = _start(n, seed)
    x = rng.uniform(-2.0, 2.0, n)
    # Every column has two dark fields, which start one higher in odd columns.
    row = 2 * rng.integers(-1, 1, n) + np.floor(x) % 2
    return _points(x, row + rng.random(n))


def swiss_roll(n, seed=None, noise=0.05):
    """One curve wound one and a half times around the center.

    A thin curve whose successive windings are 0.9 apart.

    Args:
        n: int > 0, number of samples.
        seed: int, `np.random.Generator` or `None` (different every time).
        noise: float >= 0, standard deviation around the curve, in the units of
            the coordinates. Defaults to `0.05`.

    Returns:
        float32 array `(n, 2)`.

    Raises:
        TypeError: if `n` or `seed` is not an integer, or `noise` no number.
        ValueError: if `n` is below one, or `seed` or `noise` is negative.

    Example:

    >>> from keras_drift import datasets
    >>> datasets.swiss_roll(1000, seed=0).shape
    (1000, 2)
    """
    n, rng = _start(n, seed)
    angle = rng.uniform(1.5 * np.pi, 4.5 * np.pi, n)
    radius = _EXTENT * angle / (4.5 * np.pi)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    return _points(x, y, noise, rng)


def two_moons(n, seed=None, noise=0.05):
    """Two interleaved half circles.

    Two separate curved modes of equal weight: the first thing to try.

    Args:
        n: int > 0, number of samples.
        seed: int, `np.random.Generator` or `None` (different every time).
        noise: float >= 0, standard deviation around the curves, in the units
            of the coordinates. Defaults to `0.05`.

    Returns:
        float32 array `(n, 2)`.

    Raises:
        TypeError: if `n` or `seed` is not an integer, or `noise` no number.
        ValueError: if `n` is below one, or `seed` or `noise` is negative.

    Example:

    >>> from keras_drift import datasets
    >>> datasets.two_moons(1000, seed=0).shape
    (1000, 2)
    """
    n, rng = _start(n, seed)
    angle = rng.uniform(0.0, np.pi, n)
    side = rng.choice((-1.0, 1.0), n)
    # A half turn about the origin maps one moon to the other. The radius is
    # such that the ends of the moons reach the extent.
    radius = _EXTENT / 1.5
    x = side * radius * (np.cos(angle) - 0.5)
    y = side * radius * (np.sin(angle) - 0.25)
    return _points(x, y, noise, rng)


def eight_gaussians(n, seed=None):
    """Eight small Gaussians of equal weight on a circle.

    The classic test for lost modes. Density and score are known:
    `GaussianMixture.ring()` is the distribution that is sampled here.

    Args:
        n: int > 0, number of samples.
        seed: int, `np.random.Generator` or `None` (different every time).

    Returns:
        float32 array `(n, 2)`.

    Raises:
        TypeError: if `n` or `seed` is not an integer.
        ValueError: if `n` is below one, or `seed` is negative.

    Example:

    >>> from keras_drift import datasets
    >>> datasets.eight_gaussians(1000, seed=0).shape
    (1000, 2)
    """
    return GaussianMixture.ring(num_modes=8).sample(n, seed)


def twenty_five_gaussians(n, seed=None):
    """Twenty-five small Gaussians of equal weight on a square grid.

    Many lost modes are easier to see than with eight. Density and score are
    known: `GaussianMixture.grid()` is the distribution that is sampled here.

    Args:
        n: int > 0, number of samples.
        seed: int, `np.random.Generator` or `None` (different every time).

    Returns:
        float32 array `(n, 2)`.

    Raises:
        TypeError: if `n` or `seed` is not an integer.
        ValueError: if `n` is below one, or `seed` is negative.

    Example:

    >>> from keras_drift import datasets
    >>> datasets.twenty_five_gaussians(1000, seed=0).shape
    (1000, 2)
    """
    return GaussianMixture.grid(num_per_axis=5).sample(n, seed)


def pinwheel(n, seed=None):
    """Five bent arms around the center.

    Broad at the center and thin at the tips: it needs more than one width.

    Args:
        n: int > 0, number of samples.
        seed: int, `np.random.Generator` or `None` (different every time).

    Returns:
        float32 array `(n, 2)`.

    Raises:
        TypeError: if `n` or `seed` is not an integer.
        ValueError: if `n` is below one, or `seed` is negative.

    Example:

    >>> from keras_drift import datasets
    >>> datasets.pinwheel(1000, seed=0).shape
    (1000, 2)

    Reference:

    - [Johnson et al., 2016](https://arxiv.org/abs/1603.06277)
    """
    n, rng = _start(n, seed)
    along = 1.0 + 0.3 * rng.standard_normal(n)
    across = 0.1 * rng.standard_normal(n)
    angle = 2 * np.pi * rng.integers(5, size=n) / 5 + 0.25 * np.exp(along)
    cos, sin = np.cos(angle), np.sin(angle)
    # Four standard deviations along an arm reach the extent.
    scale = 0.9
    return _points(
        scale * (along * cos - across * sin),
        scale * (along * sin + across * cos),
    )


def spirals(n, seed=None, noise=0.05):
    """Two spirals that wind around each other from a common center.

    The hardest of the toys: neighboring arms are 0.67 apart and all the
    structure is finer than the whole. Uniform in area rather than in angle, so
    that the center is not crowded.

    Args:
        n: int > 0, number of samples.
        seed: int, `np.random.Generator` or `None` (different every time).
        noise: float >= 0, standard deviation around the curves, in the units
            of the coordinates. Defaults to `0.05`.

    Returns:
        float32 array `(n, 2)`.

    Raises:
        TypeError: if `n` or `seed` is not an integer, or `noise` no number.
        ValueError: if `n` is below one, or `seed` or `noise` is negative.

    Example:

    >>> from keras_drift import datasets
    >>> datasets.spirals(1000, seed=0).shape
    (1000, 2)
    """
    n, rng = _start(n, seed)
    fraction = np.sqrt(rng.random(n))
    angle = 3 * np.pi * fraction
    radius = _EXTENT * fraction * rng.choice((-1.0, 1.0), n)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    return _points(x, y, noise, rng)


TOYS = {
    "checkerboard": checkerboard,
    "eight_gaussians": eight_gaussians,
    "pinwheel": pinwheel,
    "spirals": spirals,
    "swiss_roll": swiss_roll,
    "twenty_five_gaussians": twenty_five_gaussians,
    "two_moons": two_moons,
}


def _start(n, seed):
    n = checks.positive_integer(
        "n", n, "is the number of samples: a positive integer"
    )
    return n, checks.random_generator(seed)


def _points(x, y, noise=0.0, rng=None):
    checks.non_negative_number(
        "noise", noise, "is a standard deviation: a number, zero or positive"
    )
    points = np.stack([x, y], axis=1)
    if noise:
        points += noise * rng.standard_normal(points.shape)
    return points.astype("float32")
