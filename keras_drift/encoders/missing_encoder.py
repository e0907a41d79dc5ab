"""The place of an encoder that was left out."""

import keras

from keras_drift.encoders.encoder import Encoder


@keras.saving.register_keras_serializable("keras_drift")
class MissingEncoder(Encoder):
    """Reference to the preset of an encoder that was not loaded.

    Only training needs the encoder of a `DriftModel`, so a preset for
    generation may refer to it: see `DriftModel.save_to_preset`. A model with
    this one generates, and refuses to train.

    Args:
        handle: str, the preset of the encoder.
        **kwargs: passed to `Encoder`.
    """

    def __init__(self, handle, **kwargs):
        super().__init__(**kwargs)
        self.handle = str(handle)

    def require(self):
        raise ValueError(
            "This model was loaded without its encoder, in whose features the "
            "drift is computed. Load it with "
            "`from_preset(..., load_encoder=True)`, or assign it to "
            "`model.encoder`. "
            f"Received: encoder={self.handle!r}, which was not loaded"
        )

    def call(self, samples):
        del samples  # there is nothing to encode them with
        self.require()

    def get_config(self):
        return {**super().get_config(), "handle": self.handle}
