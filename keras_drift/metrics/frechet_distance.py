"""The Fréchet distance."""

import keras
import numpy as np
from keras import ops

from keras_drift import backend
from keras_drift.metrics import samples
from keras_drift.metrics.encoded_metric import EncodedMetric
from keras_drift.ops import covariance_overlap

# Of the largest entry: more than rounding errors of half precision.
_ASYMMETRY = 1e-2


def frechet_distance(x, y):
    """Fréchet distance between the Gaussians fitted to two sets of features.

    With Inception features it is the FID. It compares means and covariances
    only and is insensitive to anything else: use it on features of a network,
    where it is the number that papers report.

    Args:
        x: float array or tensor `(n, d)`, features. Higher ranks are flattened.
        y: float array or tensor `(m, d)`.

    Returns:
        float32 scalar >= 0, in squared units of the features: by convention, no
        square root is taken of this distance. A set of one sample has
        covariance zero. Its gradient is finite everywhere, and zero where the
        sets coincide; directions without variance get none from the spread.

    Raises:
        ValueError: if a set is empty or without feature axis, or if the samples
            have different numbers of features.

    Example:

    >>> from keras_drift import metrics
    >>> x = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> moved = x + np.array([3.0, 4.0])  # by 5
    >>> round(float(metrics.frechet_distance(x, moved)), 3)
    25.0

    Reference:

    - [Heusel et al., 2017](https://arxiv.org/abs/1706.08500)
    """
    x, y = samples.flatten_pair(x, y)
    x_size, x_mean, x_scatter = _moments(x[None])
    y_size, y_mean, y_scatter = _moments(y[None])
    return frechet_distance_from_moments(
        x_mean[0],
        _covariance(x_scatter, x_size)[0],
        y_mean[0],
        _covariance(y_scatter, y_size)[0],
    )


def frechet_distance_from_moments(mean_x, cov_x, mean_y, cov_y):
    """Fréchet distance between two Gaussians.

    `|mean_x - mean_y|^2 + Tr(X + Y - 2 (X^1/2 Y X^1/2)^1/2)` for covariances X
    and Y. Choose it where a benchmark comes with the moments of its data.

    Args:
        mean_x: float array or tensor `(d,)`.
        cov_x: float array or tensor `(d, d)`, symmetric. Negative eigenvalues
            are taken for zero.
        mean_y: float array or tensor `(d,)`.
        cov_y: float array or tensor `(d, d)`, symmetric.

    Returns:
        float32 scalar >= 0, in squared units of the features.

    Raises:
        ValueError: if the shapes are not those of moments in one space, or if
            a covariance, given as an array, is not symmetric.

    Example:

    >>> from keras_drift import metrics
    >>> wide, narrow = 9 * np.eye(2), np.eye(2)
    >>> value = metrics.frechet_distance_from_moments(
    ...     np.zeros(2), wide, np.zeros(2), narrow
    ... )
    >>> round(float(value), 3)  # 2 dimensions, (3 - 1)**2 in each
    8.0

    Reference:

    - [Heusel et al., 2017](https://arxiv.org/abs/1706.08500)
    """
    _check_symmetric("cov_x", cov_x)
    _check_symmetric("cov_y", cov_y)
    mean_x, cov_x, mean_y, cov_y = (
        ops.cast(ops.convert_to_tensor(moment), "float32")
        for moment in (mean_x, cov_x, mean_y, cov_y)
    )
    _check_moments(mean_x, cov_x, mean_y, cov_y)
    # Decompositions fail at numbers that are not finite.
    factored = [
        ops.nan_to_num(each, nan=0.0, posinf=0.0, neginf=0.0)
        for each in (cov_x, cov_y)
    ]
    overlap = covariance_overlap(*factored)
    spread = ops.trace(cov_x) + ops.trace(cov_y) - 2 * overlap
    shift = ops.sum(ops.square(mean_x - mean_y))
    distance = ops.maximum(shift + spread, 0.0)
    return samples.nan_unless_finite(distance, mean_x, cov_x, mean_y, cov_y)


@keras.saving.register_keras_serializable("keras_drift")
class FrechetDistance(EncodedMetric):
    """Fréchet distance to the data in the features of a network, and its floor.

    Unlike the other metrics it is not averaged over batches: it gathers the
    moments of all batches and compares them at the end, since with fewer
    samples than features the distance says little. Its sets are those of
    `Distance`: two halves of the real samples and equally many generated ones.
    In evaluation both halves keep their samples from batch to batch, however
    often the data are passed over. Then the distance of a perfect generator,
    which never repeats a sample, may fall to about half of the floor. In
    training, `GroupedDataset` and epochs of several passes draw samples anew,
    which come to be in both halves: the floor in the logs of `fit` is too low,
    that in its validation is not.

    With an Inception encoder it is the FID of its samples; published FIDs use
    50,000 samples, so do not compare them with values of fewer.

    It keeps three `(d, d)` matrices and factors them whenever its result is
    asked for, which `fit` does in every step: with many features, use it in
    `evaluate` only.

    Args:
        encoder: callable from samples `(n, ...)` to features `(n, d)`, such as
            a Keras model; `None` takes the samples themselves. Higher ranks
            are flattened. It must not share weights with the model that is
            trained, whose weights the compiled step holds elsewhere. Saving
            keeps its config, not its weights. Defaults to `None`.
        name: str, the name in the logs. Defaults to `"frechet_distance"`.

    Call arguments:
        y_true: float tensor `(n, ...)`, real samples. At least two.
        y_pred: float tensor `(m, ...)`, generated samples.
        sample_weight: not supported, must be `None`.

    Returns:
        dict with the distance as `name` and its floor as `{name}_floor`.

    Raises:
        TypeError: if the encoder cannot be called, or returns no tensor.
        ValueError: if `y_true` has fewer than two samples, or if there is a
            `sample_weight`.

    Example:

    >>> from keras_drift import metrics
    >>> real = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> metric = metrics.FrechetDistance(encoder=lambda x: 2 * x)
    >>> logs = metric(real, real + 5)
    >>> {name: round(float(value), 3) for name, value in logs.items()}
    {'frechet_distance': 100.0, 'frechet_distance_floor': 4.0}

    Reference:

    - [Heusel et al., 2017](https://arxiv.org/abs/1706.08500)
    """

    def __init__(self, encoder=None, name="frechet_distance"):
        super().__init__(name, encoder)
        self.count = self.add_variable((), "zeros", "float32", name="count")
        # Made with the first batch, which knows the number of features.
        self.mean = None
        self.scatter = None

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch: real samples, then generated samples."""
        *sets, _ = samples.split(y_true, y_pred, sample_weight)
        features = ops.stack(
            [samples.flatten(self.features(each), "features") for each in sets]
        )
        self._make_variables(features.shape[-1])
        size, mean, scatter = _moments(features)
        # Chan's update of two sets of moments, which loses no digits to a mean
        # far from zero.
        total = self.count + size
        fraction = size / ops.maximum(total, 1.0)
        step = mean - self.mean
        between = step[:, :, None] * step[:, None, :]
        self.scatter.assign_add(scatter + self.count * fraction * between)
        self.mean.assign_add(fraction * step)
        self.count.assign(total)

    def result(self):
        """The distance and its floor, by their names in the logs."""
        names = (self.name, f"{self.name}_floor")
        if self.mean is None:
            return {name: ops.zeros((), "float32") for name in names}
        covariance = _covariance(self.scatter, self.count)
        mean = ops.convert_to_tensor(self.mean)
        return {
            name: frechet_distance_from_moments(
                mean[i], covariance[i], mean[2], covariance[2]
            )
            for i, name in enumerate(names)
        }

    def _make_variables(self, dim):
        if self.mean is None:
            self.mean = self.add_variable(
                (3, dim), "zeros", "float32", name="mean"
            )
            self.scatter = self.add_variable(
                (3, dim, dim), "zeros", "float32", name="scatter"
            )
        elif self.mean.shape[-1] != dim:
            raise ValueError(
                f"The first batch had {self.mean.shape[-1]} features per "
                "sample, and all others must have the same. Use one metric for "
                f"each kind of data. Received: {dim} features per sample"
            )


def _moments(features):
    """Size (), mean (sets, d) and scatter (sets, d, d) of (sets, n, d)."""
    size = ops.cast(ops.shape(features)[1], "float32")
    # A batch of unknown size may turn out to be empty.
    divisor = ops.maximum(size, 1.0)
    mean = ops.sum(features, axis=1) / divisor
    centered = features - mean[:, None, :]
    scatter = backend.matmul(ops.transpose(centered, (0, 2, 1)), centered)
    return size, mean, scatter


def _covariance(scatter, size):
    return scatter / ops.maximum(size - 1.0, 1.0)


def _check_symmetric(name, covariance):
    """Refuses what is no covariance, where its values are on the host."""
    if isinstance(covariance, (list, tuple)):
        covariance = np.asarray(covariance)
    if not isinstance(covariance, np.ndarray) or covariance.ndim != 2:
        return
    if covariance.shape[0] != covariance.shape[1] or not covariance.size:
        return  # of which another check tells
    covariance = covariance.astype("float64")
    with np.errstate(invalid="ignore"):  # of infinities, for a result of NaN
        asymmetry = np.max(np.abs(covariance - covariance.T))
    largest = np.max(np.abs(covariance))
    if asymmetry > _ASYMMETRY * largest:
        raise ValueError(
            f"`{name}` must be symmetric, as covariances are, those of "
            "`np.cov(features, rowvar=False)`. Received: entries that differ "
            f"from those across the diagonal by up to {asymmetry:g}, the "
            f"largest of which is {largest:g}"
        )


def _check_moments(mean_x, cov_x, mean_y, cov_y):
    dim = mean_x.shape[-1] if mean_x.shape else None
    shapes = [tuple(m.shape) for m in (mean_x, cov_x, mean_y, cov_y)]
    if shapes != [(dim,), (dim, dim)] * 2:
        raise ValueError(
            "The moments must be a mean (d,) and a covariance (d, d) for each "
            "of the two sets, in the same space. Received: "
            f"mean_x.shape={shapes[0]}, cov_x.shape={shapes[1]}, "
            f"mean_y.shape={shapes[2]}, cov_y.shape={shapes[3]}"
        )
