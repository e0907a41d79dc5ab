"""Epochs of a given number of batches, each of which goes on in the data."""

import math

from keras_drift.training.stepped_dataset import SteppedDataset


class ContinuedDataset(SteppedDataset):
    """A data set of which each epoch goes on where the one before has ended.

    So do Keras' own epochs of a given number of steps; but these are where the
    number of the epoch says, so that a run which is resumed has them as well.

    Args:
        data: `SeededDataset`, which is given the number of passes that are
            over. The first epoch begins after those that it has already made.
        num_steps: int >= 1.
    """

    def __init__(self, data, num_steps):
        super().__init__(data, num_steps)
        self.num_samples = data.num_samples
        self.epoch = math.ceil(data.epoch * len(data) / self._num_steps)

    @property
    def seed(self):
        """That of the data."""
        return self._data.seed

    @seed.setter
    def seed(self, value):
        self._data.seed = value

    def continues(self, data, num_steps):
        """Whether these are epochs of that data set, where it is now."""
        return (
            self._data is data
            and self._num_steps == num_steps
            and self._passes() == data.epoch
        )

    def on_epoch_end(self):
        super().on_epoch_end()
        if not self.is_fixed:
            self._data.epoch = self._passes()

    def _passes(self):
        """Passes over the data that have been begun before this epoch."""
        return math.ceil(self.epoch * self._num_steps / len(self._data))

    def _place(self, index):
        return divmod(self.epoch * self._num_steps + index, len(self._data))
