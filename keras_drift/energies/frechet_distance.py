"""The Fréchet distance as an energy."""

import math

import keras
from keras import ops

from keras_drift import backend
from keras_drift.energies.energy import Energy
from keras_drift.frozen import freeze
from keras_drift.ops import covariance_factor

# Singular values below this share of the largest are rounding noise.
_RANK_TOLERANCE = 1e-6


@keras.saving.register_keras_serializable("keras_drift.energies")
class FrechetDistance(Energy):
    """Half the Fréchet distance between samples and data, in features.

    It compares means and covariances only, so it cannot train a generator on
    its own; use it to finetune a trained one. On features of a good network the
    FID falls at once, so also monitor the features of another network, which
    this energy does not optimize. Batches should be several times larger than
    the number of features.

    Args:
        encoder: Keras model or layer from samples `(n, d)` to features
            `(n, ...)`, which are flattened, and through which gradients flow to
            the samples. It is frozen, wherever else it is used. Defaults to
            `None`: the samples themselves, or the features that a `DriftModel`
            has encoded already.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        x: float tensor `(n, d)` or `(groups, n, d)`, the samples.
        positives: float tensor `(m, d)` or `(groups, m, d)`, the data.
        positive_weights: optional float tensor `(m,)` or `(groups, m)`, >= 0.

    Returns:
        float32 tensor, a scalar or `(groups,)`, in squared units of the
        features. Covariances are means over the samples, `1 / n`. Without an
        encoder, one full step along the velocity closes the distance. There
        is no velocity from the spread along directions without variance.

    Raises:
        TypeError: if the encoder is not a Keras layer.

    Example:

    >>> from keras_drift import energies
    >>> x = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> moved = x + np.array([3.0, 4.0])  # by 5
    >>> round(float(energies.FrechetDistance()(x, moved)), 3)  # 5**2 / 2
    12.5

    Reference:

    - [Yang et al., 2026](https://arxiv.org/abs/2604.28190)
    """

    def __init__(self, encoder=None, **kwargs):
        super().__init__(**kwargs)
        if encoder is not None and not isinstance(encoder, keras.layers.Layer):
            raise TypeError(
                "`encoder` is a Keras model or layer from samples to features, "
                f"or `None`. Received: encoder={encoder!r}"
            )
        self.encoder = encoder
        if encoder is not None:
            freeze(self.encoder)

    def call(self, x, positives, positive_weights=None):
        x, positives = self._features(x), self._features(positives)
        return super().call(x, positives, positive_weights)

    def potential(self, x, positives, positive_weights=None):
        x, positives = self._features(x), self._features(positives)
        return super().potential(x, positives, positive_weights)

    def value(self, x, positives):
        masses = positives.dense_weights()
        masses = masses / ops.sum(masses, axis=-1, keepdims=True)
        target = ops.sum(masses[..., None] * positives.points, axis=-2)
        spread = positives.points - target[:, None, :]
        weighed = masses[..., None] * spread
        covariance = backend.matmul(ops.swapaxes(spread, -1, -2), weighed)

        mean = ops.mean(x, axis=-2)
        centered = x - mean[:, None, :]
        size = ops.cast(ops.shape(x)[-2], "float32")
        # The samples are a root of their covariance, of any rank.
        root = ops.swapaxes(centered, -1, -2) / ops.sqrt(size)
        variances = ops.trace(covariance, axis1=-2, axis2=-1) + ops.sum(
            ops.square(root), axis=(-2, -1)
        )
        factor = ops.swapaxes(covariance_factor(covariance), -1, -2)
        overlap = _sum_of_singular_values(backend.matmul(factor, root))
        shift = ops.sum(ops.square(mean - target), axis=-1)
        return 0.5 * (shift + variances - 2 * overlap)

    def get_config(self):
        encoder = keras.saving.serialize_keras_object(self.encoder)
        return {**super().get_config(), "encoder": encoder}

    @classmethod
    def from_config(cls, config):
        """Makes the energy again, from what `get_config` returned."""
        encoder = keras.saving.deserialize_keras_object(config["encoder"])
        return cls(**{**config, "encoder": encoder})

    def _features(self, points):
        points = ops.convert_to_tensor(points, "float32")
        if self.encoder is None:
            return points
        flat = ops.reshape(points, (-1, points.shape[-1]))
        features = self.encoder(flat, training=False)
        shape = ops.shape(points)
        size = math.prod(features.shape[1:])
        features = ops.cast(features, "float32")
        return ops.reshape(features, (*shape[:-1], size))


def _sum_of_singular_values(matrix):
    """Nuclear norm of matrices `(...,)`, with a finite gradient everywhere.

    It is the largest inner product with a matrix of spectral norm 1, which is
    held fixed: the decomposition itself is not differentiated.
    """
    fixed = ops.stop_gradient(matrix)
    left, values, right = ops.svd(fixed, full_matrices=False)
    largest = ops.max(values, axis=-1, keepdims=True)
    present = ops.cast(values > _RANK_TOLERANCE * largest, "float32")
    best = backend.matmul(left * present[..., None, :], right)
    return ops.sum(best * matrix, axis=(-2, -1))
