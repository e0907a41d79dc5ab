"""Mixin for saving and restoring drifting models."""

import keras

from keras_drift import seed_states

# Entries of the config that are objects, and those that are plain values.
_OBJECTS = (
    "generator",
    "drift",
    "encoder",
    "step_size",
    "bandwidth_schedule",
    "guidance_sampler",
    "autoencoder",
)
_VALUES = (
    "loss_weights",
    "num_generated",
    "frozen_steps",
    "stop_gradient",
    "field_scope",
    "micro_batches",
)


class ModelSaving:
    """Mixin for `DriftModel` with its config and its own variables."""

    def save_own_variables(self, store):
        """Saves the state of the random generator."""
        seed_states.save(self.seed_generator, store)

    def load_own_variables(self, store):
        """Loads the state of the random generator."""
        seed_states.load(self.seed_generator, store)
        # Keras loads all parts of a model, the autoencoder among them.
        self._fresh = None

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            **{name: serialize(getattr(self, name)) for name in _OBJECTS},
            **{name: getattr(self, name) for name in (*_VALUES, "seed")},
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Makes the model that `get_config` describes."""
        deserialize = keras.saving.deserialize_keras_object
        objects = {
            name: deserialize(config.get(name), custom_objects)
            for name in _OBJECTS
        }
        model = cls(**{**config, **objects})
        model.remember_fresh_autoencoder()
        return model
