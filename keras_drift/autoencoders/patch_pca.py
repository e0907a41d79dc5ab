"""Principal components of patches as an autoencoder."""

import keras
import numpy as np
from keras import ops

from keras_drift import checks
from keras_drift import patch_folding
from keras_drift.autoencoders.autoencoder import Autoencoder

# Of a latent that is not random: below any rounding.
_LOG_VARIANCE = -30.0
# Of a component: far below the steps of bytes, above rounding.
_LEAST_VARIANCE = 1e-10
# Images whose patches are taken at once.
_BLOCK = 256


@keras.saving.register_keras_serializable("keras_drift")
class PatchPCA(Autoencoder):
    """Autoencoder that keeps the principal components of image patches.

    The best linear map to so many numbers: with 8 x 8 patches and 16 channels
    a twelfth of the numbers of a color image, in which edges survive and fine
    texture does not. It is computed from a few hundred images in seconds, by
    `adapt`, and needs no download: choose it to try latent training, for small
    data, and as the baseline of a learned autoencoder. `StableDiffusion`
    reconstructs natural images far better.

    Latents have mean 0 and variance 1 in every channel over the images of
    `adapt`, except for components that do not vary there, whose latents have
    the units of pixels. They follow from the image without randomness.

    Args:
        patch_size: int >= 1, the side of the square patches, which do not
            overlap. Defaults to `8`.
        latent_channels: int >= 1, the components that are kept, at most
            `patch_size**2 * image_channels`. Defaults to `16`.
        image_channels: int >= 1. Defaults to `3`.
        **kwargs: passed to `Autoencoder`: `batch_size`, `dtype`.

    Call arguments:
        images: float tensor `(batch, height, width, image_channels)` in
            `[-1, 1]`.

    Returns:
        The reconstructed images, those closest to the images in the space that
        the components span, clipped to `[-1, 1]`.

    Example:

    >>> from keras_drift import autoencoders
    >>> images = np.random.default_rng(0).uniform(-1, 1, (50, 16, 16, 3))
    >>> autoencoder = autoencoders.PatchPCA(patch_size=4, latent_channels=6)
    >>> autoencoder.adapt(images)
    >>> latents = autoencoder.encode(images)
    >>> latents.shape
    (50, 4, 4, 6)
    >>> autoencoder.decode(latents).shape
    (50, 16, 16, 3)
    """

    def __init__(
        self, patch_size=8, latent_channels=16, image_channels=3, **kwargs
    ):
        super().__init__(**kwargs)
        self.downsampling = checks.positive_integer("patch_size", patch_size)
        self.image_channels = checks.positive_integer(
            "image_channels", image_channels
        )
        self.latent_channels = checks.positive_integer(
            "latent_channels", latent_channels
        )
        self._dim = patch_size**2 * image_channels
        if latent_channels > self._dim:
            raise ValueError(
                "A patch has no more components than numbers, "
                f"`patch_size**2 * image_channels` = {self._dim}. Received: "
                f"latent_channels={latent_channels}, patch_size={patch_size}"
            )
        self.center = self._weight("center", (self._dim,))
        self.projection = self._weight(
            "projection", (self._dim, latent_channels)
        )
        self.expansion = self._weight("expansion", (latent_channels, self._dim))
        self.built = True

    def adapt(self, images):
        """Computes the components of images. Earlier ones are replaced.

        Args:
            images: float array `(n, height, width, image_channels)` in
                `[-1, 1]`, with more patches than components.
        """
        images = np.asarray(images)
        height, width, _ = self.latent_shape(images.shape[1:])
        count = len(images) * height * width
        if count <= self.latent_channels or not np.abs(images).max() < 1.01:
            raise ValueError(
                "The components are computed from more patches than there are "
                f"components, {self.latent_channels}, of images with pixels "
                f"from -1 to 1. Received: {count} patches of {len(images)} "
                "images"
            )
        mean, covariance = self._moments_of_patches(images, count)
        variances, vectors = np.linalg.eigh(covariance)
        order = np.argsort(variances)[::-1][: self.latent_channels]
        # What does not vary is not enlarged: other images may vary there.
        varies = variances[order] > _LEAST_VARIANCE
        deviations = np.sqrt(np.where(varies, variances[order], 1.0))
        vectors = vectors[:, order]
        # An eigenvector has no sign of its own: the largest entry is positive.
        largest = np.abs(vectors).argmax(axis=0)
        vectors *= np.sign(vectors[largest, np.arange(len(order))])
        self.center.assign(mean)
        self.projection.assign(vectors / deviations)
        self.expansion.assign((vectors * deviations).T)

    def moments(self, images, batch_size=None):
        self._check_adapted()
        return super().moments(images, batch_size)

    def decode(self, latents, batch_size=None):
        self._check_adapted()
        return super().decode(latents, batch_size)

    def call_encoder(self, images):
        folded = patch_folding.fold(images, self.downsampling)
        latents = ops.matmul(folded - self.center, self.projection)
        return latents, ops.full_like(latents, _LOG_VARIANCE)

    def call_decoder(self, latents):
        patches = ops.matmul(latents, self.expansion) + self.center
        images = patch_folding.unfold(patches, self.downsampling)
        return ops.clip(images, -1.0, 1.0)

    def get_config(self):
        return {
            **super().get_config(),
            "patch_size": self.downsampling,
            "latent_channels": self.latent_channels,
            "image_channels": self.image_channels,
        }

    def _weight(self, name, shape):
        return self.add_weight(
            shape, initializer="zeros", trainable=False, name=name
        )

    def _moments_of_patches(self, images, count):
        """Mean and covariance of the patches, in float64."""
        total = np.zeros(self._dim)
        squares = np.zeros((self._dim, self._dim))
        for start in range(0, len(images), _BLOCK):
            block = images[start : start + _BLOCK].astype("float64")
            patches = patch_folding.fold(block, self.downsampling, np)
            patches = patches.reshape(-1, self._dim)
            total += patches.sum(axis=0)
            squares += patches.T @ patches
        mean = total / count
        return mean, squares / count - np.outer(mean, mean)

    def _check_adapted(self):
        if not ops.convert_to_numpy(self.projection).any():
            raise ValueError(
                "The components are not known yet: call `adapt(images)` first, "
                "or load a preset."
            )
