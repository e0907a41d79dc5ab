"""An autoencoder that is built in no time, for tests."""

import keras
from keras import layers
from keras import ops

from keras_drift import autoencoders


@keras.saving.register_keras_serializable("tests")
class TinyAutoencoder(autoencoders.Autoencoder):
    """One convolution each way, 2 x 2 pixels to 4 numbers."""

    downsampling = 2
    latent_channels = 4

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        seeded = keras.initializers.GlorotUniform(seed=3)
        policy = self.dtype_policy
        self.down = layers.Conv2D(
            8, 2, 2, kernel_initializer=seeded, dtype=policy
        )
        self.up = layers.Conv2DTranspose(
            3, 2, 2, kernel_initializer=seeded, dtype=policy
        )
        self.down.build((None, None, None, 3))
        self.up.build((None, None, None, 4))
        self.trainable = False
        self.built = True

    def call_encoder(self, images):
        return ops.split(self.down(images), 2, axis=-1)

    def call_decoder(self, latents):
        return ops.tanh(self.up(latents))
