"""Processes of one run that each train alone, on JAX and on TensorFlow."""

import keras

from keras_drift import environment
from keras_drift import user_warnings


def warn():
    """Warns that the processes are joined, and a model is not distributed."""
    user_warnings.warn(
        "The processes are joined, but each of them trains alone: make, "
        "compile and train the model inside of "
        "`with keras_drift.distribution.data_parallel():`."
    )


def refuse_torchrun(advice=""):
    """Refuses a process of a launcher that this backend does not join.

    Args:
        advice: str, a sentence on what starts the processes of the backend.
    """
    count = environment.integer("WORLD_SIZE", 1)
    if count > 1:
        raise ValueError(
            "`torchrun` starts the processes of PyTorch: use "
            f"KERAS_BACKEND=torch. {advice}Received: WORLD_SIZE={count}, "
            f"KERAS_BACKEND={keras.backend.backend()}"
        )
