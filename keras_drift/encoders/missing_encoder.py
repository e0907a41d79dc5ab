"""The place of an encoder that was left out."""

import keras

from keras_drift import encoders
from keras_drift.encoders.encoder import Encoder


@keras.saving.register_keras_serializable("keras_drift")
class MissingEncoder(Encoder):
    """Reference to the preset of an encoder that was not loaded.

    Only training needs the encoder of a `DriftModel`, so a preset for
    generation may refer to it: see `DriftModel.save_to_preset`. A model with
    this encoder can generate samples, but refuses to train.

    Args:
        handle: str, the preset of the encoder.
        class_name: str, the class in `keras_drift.encoders` whose
            `from_preset` loads it. Defaults to `"Encoder"`, for presets of any
            class that `save_to_preset` wrote.
        **kwargs: passed to `Encoder`.
    """

    def __init__(self, handle, class_name="Encoder", **kwargs):
        super().__init__(**kwargs)
        self.handle = str(handle)
        self.class_name = class_name
        cls = getattr(encoders, str(class_name), None)
        if class_name not in encoders.__all__ or not isinstance(cls, type):
            raise ValueError(
                "`class_name` is the name of a class in "
                f"`keras_drift.encoders`. Received: class_name={class_name!r}"
            )

    def missing(self):
        return (self,)

    def loaded(self):
        cls = getattr(encoders, self.class_name)
        return cls.from_preset(self.handle)

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
        return {
            **super().get_config(),
            "handle": self.handle,
            "class_name": self.class_name,
        }
