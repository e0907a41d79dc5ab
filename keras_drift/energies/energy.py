"""The base class of energies."""

import keras
from keras import ops

from keras_drift import checks
from keras_drift.annealable import Annealable
from keras_drift.byte_order import native
from keras_drift.ops import PointCloud
from keras_drift.ops import mask_absent


class Energy(Annealable, keras.layers.Layer):
    """Functional of samples whose Wasserstein gradient flow is a drift.

    An energy is a functional `F[q]` of the distribution of the samples: never
    negative, and zero where samples and data agree. `drifts.VariationalDrift`
    is its steepest descent.

    Subclasses write `value`, and `first_variation` where it is cheaper or more
    accurate than the derivative of the value. This class checks shapes, casts
    to float32, centers the points and masks points of weight zero.

    Args:
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        x: float tensor `(n, d)` or `(groups, n, d)`, the samples.
        positives: float tensor `(m, d)` or `(groups, m, d)`, the data.
        positive_weights: optional float tensor `(m,)` or `(groups, m)`, >= 0.
            An integer weight `c` counts a point `c` times, zero as absent.

    Returns:
        float32 tensor, a scalar or `(groups,)`. Groups without any weight have
        energy zero. Gradients with respect to `x` are those of the energy.

    Raises:
        ValueError: if ranks, dimensions or numbers of groups do not fit.

    Example:

    >>> from keras_drift import energies
    >>> class MeanGap(energies.Energy):
    ...     def value(self, x, positives):
    ...         gap = keras.ops.mean(x - positives.points, axis=1)
    ...         return 0.5 * keras.ops.sum(gap**2, axis=-1)
    >>> x = np.array([[0.0], [1.0]])
    >>> float(MeanGap()(x, x + 4))
    8.0
    """

    def __init__(self, **kwargs):
        super().__init__(**checks.in_float32(kwargs))
        self.built = True

    def value(self, x, positives):
        """The energy of each group.

        Args:
            x: float32 tensor `(groups, n, d)`, samples of equal mass. The
                origin is their mean.
            positives: `keras_drift.ops.PointCloud`, the data. Points of weight
                zero are masked (`ops.mask_absent`).

        Returns:
            float32 tensor `(groups,)`.
        """
        raise NotImplementedError(
            f"`{type(self).__name__}` must write `value(x, positives)`, the "
            "energy of each group of samples."
        )

    def first_variation(self, x, positives):
        """The first variation `dF/dq` of the energy at each sample.

        It has the arguments of `value`. It is differentiated with respect to
        the point of evaluation only: `q` and all that depends on it is fixed.

        Returns:
            float32 tensor `(groups, n)`, up to a constant for each group; or
            `None`, the default, where the value is differentiated itself.
        """
        del x, positives
        return None

    def __call__(self, *args, **kwargs):
        names = ("x", "positives", "positive_weights")
        checks.no_masked_arguments(names, args, kwargs)
        return super().__call__(*args, **kwargs)

    def call(self, x, positives, positive_weights=None):
        grouped, empty = self._grouped(x, positives, positive_weights)
        potential = self._mean_variation(*grouped)
        if potential is None:
            value = self.value(*grouped)
        else:
            # The value of the energy with the gradient of the variation.
            fixed = ops.stop_gradient(self.value(*grouped))
            value = fixed + (potential - ops.stop_gradient(potential))
        value = ops.where(empty, 0.0, value)
        return value if len(x.shape) == 3 else value[0]

    def potential(self, x, positives, positive_weights=None):
        """A scalar with the gradient of the energy, cheaper where possible.

        It has the arguments of the call, samples in groups. Its value has no
        meaning.

        Returns:
            float32 tensor `(groups,)`.
        """
        grouped, empty = self._grouped(x, positives, positive_weights)
        potential = self._mean_variation(*grouped)
        if potential is None:
            potential = self.value(*grouped)
        return ops.where(empty, 0.0, potential)

    def origin(self, x):
        """The point that is moved to zero, `(groups, 1, d)`.

        Defaults to the mean of the samples: energies are invariant under
        translation, and near zero float32 is most accurate.
        """
        return ops.mean(x, axis=-2, keepdims=True)

    def _mean_variation(self, x, positives):
        variation = self.first_variation(x, positives)
        return None if variation is None else ops.mean(variation, axis=-1)

    def _grouped(self, x, positives, weights):
        """`((x, cloud), empty)`: in groups, centered and masked."""
        x, positives = (
            ops.convert_to_tensor(native(v), "float32") for v in (x, positives)
        )
        shapes = {"x": tuple(x.shape), "positives": tuple(positives.shape)}
        checks.sets_of_samples(shapes)
        if weights is not None:
            weights = ops.convert_to_tensor(weights, "float32")
            checks.weights_of_samples(
                "positives", tuple(weights.shape), shapes["positives"]
            )
        if len(x.shape) == 2:
            x, positives = x[None], positives[None]
            weights = None if weights is None else weights[None]
        origin = ops.stop_gradient(self.origin(x))
        x, positives = x - origin, positives - origin
        if weights is None:
            return (x, PointCloud(positives)), False
        positives = mask_absent(positives, weights)
        # A group without data has energy zero, and a finite gradient.
        empty = ops.sum(weights, axis=-1) == 0
        weights = ops.where(empty[:, None], 1.0, weights)
        return (x, PointCloud(positives, weights)), empty

    def compute_output_shape(self, x_shape, *args, **kwargs):
        """`()`, or `(groups,)`."""
        return tuple(x_shape[:-2])

    def compute_output_spec(self, x, *args, **kwargs):
        """A float32 scalar, or one for each group."""
        return keras.KerasTensor(x.shape[:-2], "float32")
