"""The place of an autoencoder that was left out."""

import keras

from keras_drift.autoencoders.autoencoder import Autoencoder


@keras.saving.register_keras_serializable("keras_drift")
class MissingAutoencoder(Autoencoder):
    """Reference to the preset of an autoencoder that was not loaded.

    Several models share one autoencoder, so a preset may refer to it: see
    `DriftModel.save_to_preset`. A model with this one trains and generates
    latents, and refuses to decode them.

    Args:
        handle: str, the preset of the autoencoder.
        **kwargs: passed to `Autoencoder`.
    """

    def __init__(self, handle, **kwargs):
        super().__init__(**kwargs)
        self.handle = str(handle)

    def require(self):
        raise ValueError(
            "This model was loaded without its autoencoder, which decodes "
            "generated latents. Load it with "
            "`from_preset(..., load_autoencoder=True)`, assign it to "
            "`model.autoencoder`, or generate latents with `decode=False`. "
            f"Received: autoencoder={self.handle!r}, which was not loaded"
        )

    def call_encoder(self, images):
        del images  # there is nothing to encode them with
        self.require()

    def call_decoder(self, latents):
        del latents  # there is nothing to decode them with
        self.require()

    def get_config(self):
        return {**super().get_config(), "handle": self.handle}
