"""The base class of all energies."""

import keras
from keras import ops

from keras_drift import checks
from keras_drift.annealable import Annealable
from keras_drift.ops import PointCloud
from keras_drift.ops import mask_absent


class Energy(Annealable, keras.layers.Layer):
    """Number that says how far a set of samples is from the data.

    An energy is a functional `F[q]` of the distribution of the samples: never
    negative, and zero where samples and data agree. Samples that slide down it
    as fast as they can follow its Wasserstein gradient flow; their velocity is
    that of `drifts.VariationalDrift`.

    Subclasses write `value`, and `first_variation` where it is cheaper or more
    exact than the derivative of the value. This class checks shapes, casts to
    float32 and moves the origin between the points.

    Args:
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        x: float tensor `(n, d)` or `(groups, n, d)`, the samples.
        positives: float tensor `(m, d)` or `(groups, m, d)`, the data.
        positive_weights: optional float tensor `(m,)` or `(groups, m)`, >= 0.
            An integer weight `c` counts a point `c` times, zero as absent.

    Returns:
        float32 tensor, a scalar or `(groups,)`. Groups whose data weigh nothing
        have energy zero. Gradients with respect to `x` are those of the energy.

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
        # Half precision cannot tell neighbors apart.
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.built = True

    def value(self, x, positives):
        """The energy of each group.

        Args:
            x: float32 tensor `(groups, n, d)`, samples of equal mass. The
                origin is their mean.
            positives: `keras_drift.ops.PointCloud`, the data.

        Returns:
            float32 tensor `(groups,)`.
        """
        raise NotImplementedError(
            f"`{type(self).__name__}` must write `value(x, positives)`, the "
            "energy of each group of samples."
        )

    def first_variation(self, x, positives):
        """What a little more mass at each sample adds to the energy.

        The functional derivative `dF/dq`, with `q` held fixed: only the place
        where it is looked at is differentiated. It takes what `value` takes.

        Returns:
            float32 tensor `(groups, n)`, up to a constant for each group; or
            `None`, the default, where the value is differentiated itself.
        """
        del x, positives
        return None

    def call(self, x, positives, positive_weights=None):
        grouped, empty = self._grouped(x, positives, positive_weights)
        potential = self._mean_variation(*grouped)
        if potential is None:
            value = self.value(*grouped)
        else:
            # The number is the value, the gradient that of the variation.
            fixed = ops.stop_gradient(self.value(*grouped))
            value = fixed + (potential - ops.stop_gradient(potential))
        value = ops.where(empty, 0.0, value)
        return value if len(x.shape) == 3 else value[0]

    def potential(self, x, positives, positive_weights=None):
        """What has the gradient of the energy and costs less where it can.

        Takes what the layer's call takes, samples in groups. Nobody should look
        at its value.

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
        """`((x, cloud), empty)`: in groups, around the mean of the samples."""
        x, positives = (
            ops.convert_to_tensor(v, "float32") for v in (x, positives)
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
        # Without data there is no energy, and no NaN in its gradient.
        empty = ops.sum(weights, axis=-1) == 0
        weights = ops.where(empty[:, None], 1.0, weights)
        return (x, PointCloud(positives, weights)), empty

    def compute_output_shape(self, x_shape, *args, **kwargs):
        """`()`, or `(groups,)`."""
        return tuple(x_shape[:-2])

    def compute_output_spec(self, x, *args, **kwargs):
        """A float32 scalar, or one for each group."""
        return keras.KerasTensor(x.shape[:-2], "float32")
