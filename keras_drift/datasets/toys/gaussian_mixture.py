"""Mixtures of isotropic Gaussians, with density and score."""

import numpy as np

from keras_drift import checks
from keras_drift.datasets.arrays.sample_arrays import read_only


class GaussianMixture:
    """A mixture of isotropic Gaussians with known density and score.

    Choose it where an exact answer is needed: smoothing it with a Gaussian
    kernel gives a mixture again, so that the drift of infinitely many samples
    is known in closed form, `bandwidth**2` times a difference of scores.

    Args:
        means: float array `(num_components, dim)`.
        stds: float > 0, or an array of them `(num_components,)`: the standard
            deviation of each component along every axis, in the units of the
            means.
        weights: float array `(num_components,)`, zero or positive, in any unit:
            they are divided by their sum. Defaults to equal weights.

    Attributes:
        means: float64 array `(num_components, dim)`.
        stds: float64 array `(num_components,)`.
        weights: float64 array `(num_components,)` that sums to 1. All three
            are read-only: the density follows from them.

    Raises:
        ValueError: if shapes do not fit, a number is not finite, a standard
            deviation is not positive, a weight is negative or all are zero.

    Example:

    >>> from keras_drift import datasets
    >>> mixture = datasets.GaussianMixture([[-1.0], [1.0]], stds=0.5)
    >>> mixture.sample(3, seed=0).shape
    (3, 1)
    >>> mixture.score([[0.0]]).tolist()  # zero halfway, by symmetry
    [[0.0]]
    """

    def __init__(self, means, stds, weights=None):
        self.means = read_only(_checked_means(means))
        num_components = len(self.means)
        self.stds = read_only(_one_each("stds", stds, num_components))
        if np.any(self.stds <= 0):
            raise ValueError(
                f"`stds` are standard deviations and must be positive. "
                f"Received: stds={stds!r}"
            )
        weights = 1.0 if weights is None else weights
        self.weights = _one_each("weights", weights, num_components)
        if np.any(self.weights < 0) or not np.any(self.weights):
            raise ValueError(
                "`weights` are shares of the samples: none may be negative and "
                f"one must be positive. Received: weights={weights!r}"
            )
        self.weights = read_only(self.weights / self.weights.sum())

    @classmethod
    def ring(cls, num_modes=8, radius=1.5, std=0.1):
        """Equal components, evenly spaced on a circle around the origin.

        Args:
            num_modes: int > 0, the number of components. Defaults to `8`.
            radius: float > 0, of the circle. Defaults to `1.5`, at which eight
                modes are eleven default standard deviations apart.
            std: float > 0, of every component. Defaults to `0.1`.

        Returns:
            A `GaussianMixture` in two dimensions. The first mean is at
            `(radius, 0)`, the others follow counterclockwise.
        """
        num_modes = checks.positive_integer("num_modes", num_modes)
        radius = checks.positive_number("radius", radius)
        angle = 2 * np.pi * np.arange(num_modes) / num_modes
        means = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return cls(means, std)

    @classmethod
    def grid(cls, num_per_axis=5, spacing=0.9, std=0.05):
        """Equal components on a square grid around the origin.

        Args:
            num_per_axis: int > 0, components along each of the two axes.
                Defaults to `5`.
            spacing: float > 0, the distance of neighbors. Defaults to `0.9`.
            std: float > 0, of every component. Defaults to `0.05`.

        Returns:
            A `GaussianMixture` in two dimensions, its means row by row.
        """
        num_per_axis = checks.positive_integer("num_per_axis", num_per_axis)
        spacing = checks.positive_number("spacing", spacing)
        axis = spacing * (np.arange(num_per_axis) - (num_per_axis - 1) / 2)
        y, x = np.meshgrid(axis, axis, indexing="ij")
        return cls(np.stack([x.ravel(), y.ravel()], axis=1), std)

    def sample(self, n, seed=None):
        """Draws independent samples.

        Args:
            n: int > 0, number of samples.
            seed: int, `np.random.Generator` or `None` (different every time).

        Returns:
            float32 array `(n, dim)`.
        """
        n = checks.positive_integer(
            "n", n, "is the number of samples: a positive integer"
        )
        rng = checks.random_generator(seed)
        component = rng.choice(len(self.means), size=n, p=self.weights)
        noise = rng.standard_normal((n, self.means.shape[1]))
        samples = self.means[component] + self.stds[component, None] * noise
        return samples.astype("float32")

    def log_density(self, x):
        """The logarithm of the density.

        Args:
            x: float array `(n, dim)`.

        Returns:
            float64 array `(n,)`, finite however far `x` is from the means.
        """
        return _log_sum_exp(self._log_components(self._checked_points(x)))[:, 0]

    def score(self, x):
        """The gradient of the log-density.

        Args:
            x: float array `(n, dim)`.

        Returns:
            float64 array `(n, dim)`.
        """
        x = self._checked_points(x)
        logs = self._log_components(x)
        shares = np.exp(logs - _log_sum_exp(logs))  # (n, num_components)
        # Differences first: means far from the origin must not cancel.
        offsets = self.means - x[:, None]  # (n, num_components, dim)
        return np.einsum("nk,nkd->nd", shares / self.stds**2, offsets)

    def smoothed(self, bandwidth):
        """This mixture as seen through a Gaussian kernel.

        Args:
            bandwidth: float >= 0, standard deviation of the added noise, in the
                units of the means.

        Returns:
            The `GaussianMixture` of `x + bandwidth * standard_normal`.
        """
        checks.non_negative_number("bandwidth", bandwidth)
        stds = np.hypot(self.stds, bandwidth)
        return GaussianMixture(self.means, stds, self.weights)

    def _log_components(self, x):
        """Log of weight times density of each component."""
        dim = self.means.shape[1]
        squared = np.sum((x[:, None] - self.means) ** 2, axis=-1)
        log_mass = -dim * np.log(self.stds * np.sqrt(2 * np.pi))
        # A weight of zero is an absent component, whose log is minus infinity.
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights)
        return log_weights + log_mass - squared / (2 * self.stds**2)

    def _checked_points(self, x):
        x = np.asarray(x, "float64")
        dim = self.means.shape[1]
        if x.ndim != 2 or x.shape[1] != dim:
            raise ValueError(
                f"`x` must be points `(n, {dim})`, as the means of the mixture "
                f"have {dim} coordinates. Received: x.shape={x.shape}"
            )
        return x


def _log_sum_exp(logs):
    top = logs.max(axis=1, keepdims=True)
    return top + np.log(np.exp(logs - top).sum(axis=1, keepdims=True))


def _checked_means(means):
    means = np.array(means, "float64")
    if means.ndim != 2 or means.size == 0:
        raise ValueError(
            "`means` must be an array `(num_components, dim)`; write a single "
            f"component as `[mean]`. Received: means.shape={means.shape}"
        )
    if not np.all(np.isfinite(means)):
        raise ValueError(
            f"`means` must be finite numbers. Received: means={means.tolist()}"
        )
    return means


def _one_each(name, value, num_components):
    array = np.asarray(value, "float64")
    if array.shape not in ((), (num_components,)):
        raise ValueError(
            f"`{name}` must be one number, or one for each of the "
            f"{num_components} means. Received: {name}.shape={array.shape}"
        )
    if not np.all(np.isfinite(array)):
        raise ValueError(
            f"`{name}` must be finite numbers. Received: {name}={value!r}"
        )
    return np.array(np.broadcast_to(array, (num_components,)))
