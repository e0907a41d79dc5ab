"""Mixin of `DriftModel` that sets bandwidths from data."""

from keras import ops

from keras_drift import backend
from keras_drift import checks
from keras_drift import user_warnings
from keras_drift.batched import Batched
from keras_drift.datasets.arrays import sample_arrays
from keras_drift.encoders import Identity
from keras_drift.spectral.bandwidth_adaptation import adapt_features
from keras_drift.spectral.bandwidth_adaptation import check_adaptable
from keras_drift.spectral.bandwidth_adaptation import chosen_samples

# Features of images are large; of these the distances of all pairs are needed.
_MOST_ENCODED = 2048


class ModelAdaptation:
    """Mixin of `DriftModel`: sets the bandwidths of its drift from data."""

    def adapt(self, x, y=None, batch_size=256, seed=0, verbose=True):
        """Sets the bandwidths of the drift from data.

        Samples are encoded as in training, and the drift adapts to their
        features: see `Drift.adapt`. Each token of a feature is measured by
        itself, and each class, as they are compared in training. A drift that
        several features share gets one bandwidth: the geometric mean of those
        that each of them alone would give. Call it before `fit`, or between
        two of them, which the next one follows.

        Args:
            x: float array `(n, *sample_shape)`, the data; or `(x, y)`. Of many
                samples a random subset is encoded.
            y: int array `(n,)`, the labels, of a generator with classes.
            batch_size: int >= 1, the samples that are encoded at once. Defaults
                to `256`.
            seed: int, of the random subset and directions. Defaults to `0`.
            verbose: bool, whether to print what was chosen and why. Defaults to
                `True`.

        Raises:
            TypeError: if `x` is not an array, as data sets of batches.
            ValueError: if the drift has no bandwidth, or if the samples are not
                those of the generator.

        Example:

        >>> import keras_drift as kd
        >>> data = kd.datasets.spirals(2000, seed=0)
        >>> drift = kd.drifts.KernelDrift(kd.kernels.Gaussian("auto"))
        >>> model = kd.DriftModel(kd.generators.MLP(output_dim=2), drift)
        >>> model.adapt(data)
        Gaussian in KernelDrift: bandwidth 0.363, 0.0908, in the units of ...
        Frequencies: 0.76 to 34 radians per unit of length, waves of 8.26
        down to 0.185 (from the data; the finest by their power spectrum).
        Errors at both ends decay at 5.3% of the fastest rate or faster, the
        most that a constant bandwidth reaches.
        """
        if self.run.is_training:
            raise ValueError(
                "Bandwidths cannot adapt while `fit` is running: compiled code "
                "has read them. Call `adapt` before or after it, or anneal "
                "them by `BandwidthAnnealing`. Received: a call of `adapt` "
                "within `fit`"
            )
        checks.positive_integer("batch_size", batch_size)
        check_adaptable(self.drift)
        self.encoder.require()
        if isinstance(x, tuple) and len(x) == 2 and y is None:
            x, y = x
        x, y = self._samples_and_labels(x, y)
        plain = isinstance(self.encoder, Identity)
        most = {} if plain else {"most": _MOST_ENCODED}
        chosen = chosen_samples(len(x), y, seed, **most)
        features = self._encoded(x, chosen, batch_size)
        labels = None if y is None else y[chosen]
        drift_of = self.objective.drift_of
        adapt_features(drift_of, features, labels, seed, verbose)
        if self.bandwidth_schedule is not None:
            user_warnings.warn(
                "The `bandwidth_schedule` of this model sets the largest "
                "bandwidth in training, whatever `adapt` has chosen; only "
                "the ratios of several drifts follow. Remove one of the two. "
                f"Received: bandwidth_schedule={self.bandwidth_schedule!r}"
            )

    def _samples_and_labels(self, x, y):
        """Checked arrays of samples and labels."""
        if not hasattr(x, "shape") and not isinstance(x, list):
            raise TypeError(
                "`adapt` takes arrays of samples, and of their labels: give "
                "those that the data source was made from. "
                f"Received: x={type(x).__name__}"
            )
        x = sample_arrays.checked_samples(x)
        shape, classes = self.generator.sample_shape, self.generator.num_classes
        if x.shape[1:] != shape:
            raise ValueError(
                "The data must have the shape of the generated samples, "
                f"`(n, {', '.join(map(str, shape))})`. "
                f"Received: x.shape={x.shape}"
            )
        if (y is None) != (classes is None):
            raise ValueError(
                "A generator with classes is trained on samples and labels, "
                "and compares samples within their class; one without takes "
                f"no labels. Received: num_classes={classes}, "
                f"y={'None' if y is None else 'labels'}"
            )
        if y is not None:
            y = self.generator.check_labels(sample_arrays.as_numpy(y))
        return x, y

    def _encoded(self, x, chosen, batch_size):
        """The features with a loss weight: NumPy arrays `(n, tokens, dim)`."""
        weight_of = self.objective.weight_of

        def compiled(encoder):
            encode = backend.jit(
                lambda samples: {
                    name: ops.cast(feature, "float32")
                    for name, feature in encoder(samples).items()
                    if weight_of(name)
                },
                encoder.variables,
            )
            # Only the samples of a batch are read.
            return lambda batch: encode(sample_arrays.read(x, batch["index"]))

        return Batched(self.encoder, compiled)({"index": chosen}, batch_size)
