"""The base class of all autoencoders."""

import keras
import numpy as np
from keras import ops

from keras_drift import backend
from keras_drift import checks
from keras_drift.batched import Batched
from keras_drift.presets import PresetMixin


class Autoencoder(PresetMixin, keras.layers.Layer):
    """Frozen map from images to latents and back.

    A generator of latents is smaller and faster than one of images. Encode the
    images of the training data once, train on the latents, and hand the
    autoencoder to `DriftModel`, which decodes what it generates.

    `encode`, `moments` and `decode` take and return NumPy arrays, in compiled
    code and in batches, so that their memory does not grow with the number of
    images. Subclasses write `call_encoder` and `call_decoder`, on tensors, and
    set the attributes.

    Args:
        batch_size: int >= 1, the maximum number of images in one forward pass.
            Defaults to `8`.
        dtype: the type, or policy, that the networks compute in. Defaults to
            `"float32"` whatever the global policy.
        **kwargs: passed to `keras.layers.Layer`.

    Attributes:
        downsampling: int, the height of an image over that of its latent.
        image_channels: int, `3` by default.
        latent_channels: int.

    Call arguments:
        images: float tensor `(batch, height, width, image_channels)` in
            `[-1, 1]`.

    Returns:
        The reconstructed images, those of the posterior means.
    """

    published_format = "keras_drift.converters.diffusers_vae"
    downsampling = 1
    image_channels = 3
    latent_channels = 3

    def __init__(self, batch_size=8, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)
        self.batch_size = checks.positive_integer("batch_size", batch_size)
        self.trainable = False
        self._compile_anew()

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        # Compiled programs have read the attributes, such as a scale.
        if not name.startswith("_") and getattr(self, "built", False):
            self._compile_anew()

    def _compile_anew(self):
        self._encoder_program = Batched(self, _compiled_encoder)
        self._decoder_program = Batched(self, _compiled_decoder)

    def call_encoder(self, images):
        """The posterior of latents.

        Args:
            images: float tensor `(batch, height, width, image_channels)` in
                `[-1, 1]`.

        Returns:
            Mean and log-variance, each a tensor `(batch, height /
            downsampling, width / downsampling, latent_channels)`.
        """
        raise NotImplementedError(
            f"`{type(self).__name__}` must write `call_encoder(images)`: mean "
            "and log-variance of the latents."
        )

    def call_decoder(self, latents):
        """The images of latents.

        Args:
            latents: float tensor `(batch, height / downsampling, width /
                downsampling, latent_channels)`.

        Returns:
            Tensor `(batch, height, width, image_channels)` in `[-1, 1]`.
        """
        raise NotImplementedError(
            f"`{type(self).__name__}` must write `call_decoder(latents)`: the "
            "images."
        )

    def call(self, images):
        return self.call_decoder(self.call_encoder(images)[0])

    def moments(self, images, batch_size=None):
        """Mean and log-variance of the posterior of latents.

        Store both to draw a fresh latent of each image in every epoch:
        `mean + exp(log_variance / 2) * noise`.

        Args:
            images: float array `(n, height, width, image_channels)` in
                `[-1, 1]`.
            batch_size: int >= 1. Defaults to `None`: that of the autoencoder.

        Returns:
            Two NumPy arrays `(n, height / downsampling, width / downsampling,
            latent_channels)`, float32.
        """
        images = np.asarray(images)
        self.latent_shape(images.shape[1:])
        _check_any("images", images)
        _check_pixels(images)
        images = images.astype("float32", copy=False)
        size = self._batch_size(batch_size)
        return tuple(self._encoder_program({"images": images}, size))

    def encode(self, images, seed=None, batch_size=None):
        """Latents of images: the mean of the posterior, or a sample of it.

        Args:
            images: float array `(n, height, width, image_channels)` in
                `[-1, 1]`.
            seed: int >= 0, of a sample. The same seed gives the same noise on
                every backend and for every batch size. Defaults to `None`: the
                mean.
            batch_size: int >= 1. Defaults to `None`: that of the autoencoder.

        Returns:
            NumPy array `(n, height / downsampling, width / downsampling,
            latent_channels)`, float32.
        """
        if seed is not None:
            checks.non_negative_integer("seed", seed)
        mean, log_variance = self.moments(images, batch_size)
        if seed is None:
            return mean
        rng = np.random.default_rng(seed)
        noise = rng.standard_normal(mean.shape, "float32")
        return mean + np.exp(log_variance / 2) * noise

    def decode(self, latents, batch_size=None):
        """Images of latents.

        Args:
            latents: float array `(n, height / downsampling, width /
                downsampling, latent_channels)`.
            batch_size: int >= 1. Defaults to `None`: that of the autoencoder.

        Returns:
            NumPy array `(n, height, width, image_channels)`, float32, in
            `[-1, 1]`.
        """
        latents = np.asarray(latents, "float32")
        self.image_shape(latents.shape[1:])
        _check_any("latents", latents)
        size = self._batch_size(batch_size)
        return self._decoder_program({"latents": latents}, size)

    def image_shape(self, latent_shape):
        """The shape of the image of a latent, both without a batch axis.

        Args:
            latent_shape: tuple of ints.

        Returns:
            A tuple of ints.
        """
        self.require()
        shape = tuple(latent_shape)
        if len(shape) != 3 or shape[-1] != self.latent_channels:
            raise ValueError(
                f"The latents of `{type(self).__name__}` are of shape "
                f"`(height, width, {self.latent_channels})`. "
                f"Received: latents of shape {shape}"
            )
        height, width, _ = shape
        factor = self.downsampling
        return height * factor, width * factor, self.image_channels

    def latent_shape(self, image_shape):
        """The shape of the latent of an image, both without a batch axis.

        Args:
            image_shape: tuple of ints.

        Returns:
            A tuple of ints.
        """
        self.require()
        shape = tuple(image_shape)
        factor = self.downsampling
        if (
            len(shape) != 3
            or shape[-1] != self.image_channels
            or shape[0] % factor
            or shape[1] % factor
        ):
            raise ValueError(
                f"The images of `{type(self).__name__}` are of shape "
                f"`(height, width, {self.image_channels})`, height and width "
                f"multiples of {factor}. Received: images of shape {shape}"
            )
        height, width, _ = shape
        return height // factor, width // factor, self.latent_channels

    def require(self):
        """Raises an error if the autoencoder was not loaded with its model."""

    def get_config(self):
        return {**super().get_config(), "batch_size": self.batch_size}

    @classmethod
    def from_preset(cls, preset, load_weights=True):
        """Loads an autoencoder from a preset.

        Args:
            preset: as in `PresetMixin.from_preset`; or a folder, or
                `"hf://owner/name"`, with an `AutoencoderKL` in the layout of
                diffusers, such as `"hf://stabilityai/sd-vae-ft-mse"`.
            load_weights: bool, whether to load the weights too, rather than
                initialize them anew. Defaults to `True`.

        Returns:
            An instance of this class.
        """
        return super().from_preset(preset, load_weights)

    def _batch_size(self, batch_size):
        if batch_size is None:
            return self.batch_size
        return checks.positive_integer("batch_size", batch_size)


def _compiled_encoder(autoencoder):
    def encoded(images):
        return [
            ops.cast(moment, "float32")
            for moment in autoencoder.call_encoder(images)
        ]

    program = backend.jit(encoded, autoencoder.variables)
    return lambda inputs: program(inputs["images"])


def _compiled_decoder(autoencoder):
    def decoded(latents):
        return ops.cast(autoencoder.call_decoder(latents), "float32")

    program = backend.jit(decoded, autoencoder.variables)
    return lambda inputs: program(inputs["latents"])


def _check_any(name, arrays):
    if not len(arrays):
        raise ValueError(
            f"`{name}` is empty. Received: {name} of shape {arrays.shape}"
        )


def _check_pixels(images):
    # With room for the rounding of whoever resized them.
    largest = np.abs(images).max() if images.dtype.kind == "f" else np.inf
    if not largest < 1.01:
        raise ValueError(
            "The pixels of images are numbers from -1 to 1: of bytes they are "
            "`images / 127.5 - 1`. Received: images of type "
            f"{images.dtype}, from {images.min()} to {images.max()}"
        )
