"""The weights of training, while `SwapEMAWeights` has swapped in averages."""

import contextlib
import math

import keras
from keras import ops

from keras_drift import backend
from keras_drift.training import averaged_weights as averages


class TrainedWeights(keras.callbacks.Callback):
    """Ends at each epoch what `SwapEMAWeights(swap_on_epoch=True)` began.

    `fit` calls it after the callbacks that want the averages, and before those
    that save the run and before its own end, both of which need the weights of
    training in the model and the averages in the optimizer.

    Args:
        swaps: list of the `keras.callbacks.SwapEMAWeights` of this `fit`.
    """

    def __init__(self, swaps):
        super().__init__()
        self._swaps = swaps

    def on_train_begin(self, logs=None):
        # In the epoch that it takes for the last one, the callback overwrites
        # the weights of training by their averages, for the end of `fit`.
        for swap in self._swaps:
            swap.set_params({**swap.params, "epochs": math.inf})

    def on_epoch_end(self, epoch, logs=None):
        swap_back(self.model)


def swap_back(model):
    """Puts the weights of training into the model, if a callback took them.

    Returns:
        The list of callbacks that had swapped in the averages.
    """
    swaps = averages.swapped_by(model)
    if swaps:
        _exchange(model)
    for swap in swaps:
        swap._ema_weights_in_model = False
    return swaps


@contextlib.contextmanager
def trained_weights(model):
    """Context manager in which the model has the weights of training."""
    swaps = swap_back(model)
    try:
        yield
    finally:
        if swaps:
            _exchange(model)
        for swap in swaps:
            swap._ema_weights_in_model = True


def _exchange(model):
    """Exchanges weights and averages, without the rounding of Keras' sums."""
    backend.sync(model)
    for weight, average in averages.pairs(model.optimizer):
        trained = ops.copy(ops.convert_to_tensor(average))
        average.assign(ops.convert_to_tensor(weight))
        weight.assign(trained)
