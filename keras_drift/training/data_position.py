"""The position of training in its data."""

import keras

from keras_drift import backend


class DataPosition(keras.callbacks.Callback):
    """Sets the epoch of a data source, so that a resumed run sees the same.

    Keras counts epochs of a data set from where it was, whatever
    `initial_epoch` says. Arrays that `fit` turned into batches are ordered by
    the optimizer step at which the epoch begins, which is saved with the model.
    The epoch of a data set that the user made is that of `fit`, counted on from
    earlier calls.

    Args:
        source: a `data_sources.Source`.
        base: int, what to add to the epochs of `fit`, or `None`: the first one
            continues where the data set is.
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
            steps = self.model.optimizer.iterations
            data.epoch = int(backend.host_value(steps))
        elif isinstance(getattr(data, "epoch", None), int):
            if self.base is None:
                self.base = self._start if epoch == 0 else self._before(epoch)
            data.epoch = self.base + epoch

    def _before(self, epoch):
        """The base of a run of which `epoch` is not the first one."""
        return max(self._start - epoch, 0)
