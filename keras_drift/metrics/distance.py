"""The base class of metrics that compare sets of samples."""

from keras import ops

from keras_drift.metrics import samples
from keras_drift.metrics.encoded_metric import EncodedMetric


class Distance(EncodedMetric):
    """Distance between generated and real samples, with its noise floor.

    Two finite sets are never at distance zero, not even two sets of real
    samples, so a distance alone does not say how good a generator is. This
    metric reports both: in every batch it splits the real samples into two
    halves, measures the distance of the generated samples from one half, and
    that of the other half from it, which is the best that a perfect generator
    could reach. All sets have the same size. Training has converged when the
    two numbers meet.

    The distance between finite sets is biased upwards, the more so the fewer
    samples there are. Only batches of the largest size seen are therefore
    averaged: a short last batch would measure another quantity, and is left
    out. For the same reason compare only numbers taken with one batch size.

    The floor holds for batches of different samples. Copies of one sample, of
    classes with fewer samples than a batch draws, are in both halves, and the
    floor is too low; `evaluate` warns of them.

    Subclasses write `distance(x, y)`, and `get_config` for their arguments.

    Args:
        name: str, the name in the logs. The floor is logged as `{name}_floor`.
        encoder: callable from samples `(n, ...)` to features `(n, ...)`, such
            as a Keras model, in whose features sets are compared. It must not
            share weights with the model that is trained. Saving keeps its
            config, not its weights. Defaults to `None`: the samples themselves.

    Call arguments:
        y_true: float tensor `(n, ...)`, real samples. At least two.
        y_pred: float tensor `(m, ...)`, generated samples. Where there are more
            than `n // 2`, an evenly spaced subset is taken; where there are
            fewer, the real halves are cut to their number.
        sample_weight: not supported, must be `None`.

    Returns:
        dict from `name` and `{name}_floor` to float32 scalars: means over the
        batches of the largest size. Zeros before the first batch.

    Raises:
        ValueError: if `y_true` has fewer than two samples, or if there is a
            `sample_weight`.

    Example:

    >>> from keras_drift import metrics
    >>> class MeanGap(metrics.Distance):
    ...     def distance(self, x, y):
    ...         means = keras.ops.mean(x, axis=0) - keras.ops.mean(y, axis=0)
    ...         return keras.ops.norm(means)
    >>> real = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> logs = MeanGap(name="gap")(real, real + 5)
    >>> {name: round(float(value), 3) for name, value in logs.items()}
    {'gap': 5.0, 'gap_floor': 1.0}
    """

    # The real samples that a batch needs.
    min_real_samples = 2

    def __init__(self, name, encoder=None):
        super().__init__(name, encoder)
        # Keras would give variables the type of `keras.config.floatx()`.
        self.total = self.add_variable((2,), "zeros", "float32", name="total")
        self.count = self.add_variable((), "zeros", "float32", name="count")
        # Of the sets of the batches that are averaged.
        self.size = self.add_variable((), "zeros", "float32", name="size")

    def distance(self, x, y):
        """Distance of two sets of samples of one size: a scalar tensor.

        Args:
            x: float32 tensor `(k, ...)`.
            y: float32 tensor `(k, ...)`.
        """
        raise NotImplementedError(
            f"`{type(self).__name__}` must define `distance(x, y)`: a scalar "
            "for two sets of samples."
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch: real samples, then generated samples."""
        *sets, size = samples.split(y_true, y_pred, sample_weight)
        generated, reference, real = map(self.features, sets)
        pair = ops.stack(
            [self.distance(generated, real), self.distance(reference, real)]
        )
        size = ops.cast(size, "float32")
        total, count, known = map(
            ops.convert_to_tensor, (self.total, self.count, self.size)
        )
        # A batch of one sample, met only when the code runs, has no halves
        # and no distance: it is smaller than any.
        counts = (size >= known) & (size > 0)
        zero = ops.zeros_like(pair)
        total = ops.where(size > known, zero, total)
        count = ops.where(size > known, zero[0], count)
        self.total.assign(total + ops.where(counts, pair, zero))
        self.count.assign(count + ops.cast(counts, "float32"))
        self.size.assign(ops.maximum(size, known))

    def result(self):
        """The distance and its floor, by their names in the logs."""
        # Before the first batch the total is zero as well.
        mean = self.total / ops.maximum(self.count, 1.0)
        return {self.name: mean[0], f"{self.name}_floor": mean[1]}
