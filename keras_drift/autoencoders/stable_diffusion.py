"""The autoencoder of Stable Diffusion."""

import math

import keras
from keras import ops

from keras_drift import checks
from keras_drift import frozen
from keras_drift.autoencoders.autoencoder import Autoencoder
from keras_drift.global_policy import global_policy


@keras.saving.register_keras_serializable("keras_drift")
class StableDiffusion(Autoencoder):
    """Autoencoder of Stable Diffusion: 8 x 8 pixels to 4 numbers and back.

    The latents of the published ImageNet models: an image `(256, 256, 3)` has
    a latent `(32, 32, 4)` with a standard deviation near one. A new one has
    random weights; `from_preset` loads trained ones, such as those that the
    published models use, `"hf://stabilityai/sd-vae-ft-mse"`.

    The networks are those of keras-cv, 34 and 49 million parameters, with the
    epsilon of the published weights. keras-cv imports TensorFlow on every
    backend, and both only when an autoencoder is made. Needs
    `pip install "keras-drift[imagenet]"`.

    Args:
        scale: float > 0, the factor of the latents. Defaults to `0.18215`, the
            reciprocal of the standard deviation of the networks' own latents.
        **kwargs: passed to `Autoencoder`.

    Call arguments:
        images: float tensor `(batch, height, width, 3)` in `[-1, 1]`, height
            and width multiples of 8.

    Returns:
        The reconstructed images.

    Example:

    ```python
    autoencoder = kd.autoencoders.StableDiffusion.from_preset(
        "hf://stabilityai/sd-vae-ft-mse"
    )
    latents = autoencoder.encode(images)  # (n, 32, 32, 4)
    model = kd.DriftModel(generator, autoencoder=autoencoder)
    model.fit(latents)
    model.generate(4)  # (4, 256, 256, 3)
    ```

    Reference:

    - [Rombach et al., 2022](https://arxiv.org/abs/2112.10752)
    """

    downsampling = 8
    latent_channels = 4

    def __init__(self, scale=0.18215, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale
        networks = _keras_cv_networks()
        with global_policy(self.dtype_policy):
            encoder = networks.ImageEncoder(download_weights=False)
            decoder = networks.Decoder(256, 256, download_weights=False)
            # The last layer drops the log-variance and scales the mean.
            self.encoder = _sequence(self.image_channels, encoder.layers[:-1])
            # The first layer divides by the default scale.
            self.decoder = _sequence(self.latent_channels, decoder.layers[1:])
        frozen.freeze(self)
        self.built = True

    @property
    def scale(self):
        """The factor of the latents."""
        return self._scale

    @scale.setter
    def scale(self, scale):
        self._scale = checks.positive_number("scale", scale)

    def call_encoder(self, images):
        moments = self.encoder(images, training=False)
        mean, log_variance = ops.split(moments, 2, axis=-1)
        # The bounds of the network's own training.
        log_variance = ops.clip(log_variance, -30.0, 20.0)
        return self.scale * mean, log_variance + 2 * math.log(self.scale)

    def call_decoder(self, latents):
        images = self.decoder(latents / self.scale, training=False)
        return ops.clip(images, -1.0, 1.0)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


def _sequence(channels, layers):
    """The layers as one network, for images of any size."""
    network = keras.Sequential([keras.Input((None, None, channels)), *layers])
    for layer in network._flatten_layers():
        if isinstance(layer, keras.layers.GroupNormalization):
            # keras-cv has 1e-5, which the weights were not trained with.
            layer.epsilon = 1e-6
    return network


def _keras_cv_networks():
    try:
        from keras_cv.models import stable_diffusion
    except (ImportError, ValueError) as error:  # ValueError: no TensorFlow
        raise ImportError(
            "The networks of this autoencoder come with keras-cv, which cannot "
            'be imported: pip install "keras-drift[imagenet]". '
            f"Received: {error}"
        ) from error
    return stable_diffusion
