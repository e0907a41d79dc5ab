"""PyTorch: a step changes variables in place."""

import torch

from keras_drift.backend.tensorflow import step
from keras_drift.backend.tensorflow import step_result

__all__ = ["run", "step", "step_result"]


def run(model, state, function, *args):
    """Calls `function(*args)` without gradients: returns `(result, state)`."""
    del model  # its variables are where the function looks for them
    with torch.no_grad():
        return function(*args), state
