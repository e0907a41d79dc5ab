"""Callback that sets the epoch of the data source."""

import keras

from keras_drift import backend


class DataPosition(keras.callbacks.Callback):
    """Sets the epoch of a data source, so that runs resume exactly.

    Keras ignores `initial_epoch` when it advances the epoch of a data set. The
    order of arrays given to `fit` is determined by the optimizer step at the
    beginning of the epoch, which is saved with the model. The epoch of a data
    set made by the user is that of `fit`, added to that of earlier calls.

    Args:
        source: a `data_sources.Source`.
        base: int, the offset to the epochs of `fit`. Defaults to `None`: the
            first epoch continues at the epoch of the data set.
    """

    def __init__(self, source, base=None):
        super().__init__()
        self._source = source
        self._start = getattr(source.x, "epoch", 0)
        self.base = base

    def on_epoch_begin(self, epoch, logs=None):
        data = self._source.x
        if self._source.made_here:
            backend.sync(self.model)
            # Without division by the steps of gradient accumulation.
            optimizer = self.model.optimizer
            optimizer = getattr(optimizer, "inner_optimizer", optimizer)
            steps = optimizer._iterations
            data.epoch = int(backend.host_value(steps))
        elif isinstance(getattr(data, "epoch", None), int):
            if self.base is None:
                self.base = self._start if epoch == 0 else self._before(epoch)
            data.epoch = self.base + epoch

    def _before(self, epoch):
        """The offset of a run that is resumed at `epoch`."""
        return max(self._start - epoch, 0)
