"""A callback that every `fit` brings along."""

import keras
from keras import ops


class OwnWeights(keras.callbacks.Callback):
    """Gives the model its own copy of the weights that training ended with.

    With `use_ema` Keras ends training by handing the optimizer's averages to
    the model, and on JAX both then hold one array. The next `predict` donates
    it, which deletes the optimizer's (since keras-team/keras#20851).
    """

    def on_train_end(self, logs=None):
        if self.model.optimizer.use_ema:
            for variable in self.model.trainable_variables:
                variable.assign(ops.copy(variable))
