"""Epochs of a given number of batches."""

import copy
import math

from keras_drift import checks
from keras_drift.datasets.arrays.seeded_dataset import SeededDataset


class SteppedDataset(SeededDataset):
    """A data set whose epochs have a given number of batches.

    Where that is more than a pass over the data, every pass has an order of its
    own, which no other pass of any epoch has.

    Args:
        data: `SeededDataset`.
        num_steps: int >= 1.
    """

    def __init__(self, data, num_steps):
        self._data = data
        super().__init__(
            data.seed,
            workers=data.workers,
            use_multiprocessing=data.use_multiprocessing,
            max_queue_size=data.max_queue_size,
        )
        # One tuple, replaced as a whole: threads see all of it or none.
        self._view = (None, None)
        self._num_steps = checks.positive_integer("steps_per_epoch", num_steps)
        self.group_axis = data.group_axis
        self.sample_axis = data.sample_axis
        self.placement = data.placement
        self.has_equal_batches = data.has_equal_batches
        self.scale_is_checked = data.scale_is_checked
        # What decides which batches the processes of a run may give together.
        self.share = getattr(data, "share", (0, 1))
        self.num_classes = getattr(data, "num_classes", None)
        self.labels_present = getattr(data, "labels_present", None)

    def __len__(self):
        return self._num_steps

    def _whole(self):
        whole = copy.copy(self)
        whole._data = self._data._whole()
        whole._view = (None, None)
        return whole

    def _batch(self, index):
        epoch, index = self._place(index)
        # Kept, since a view computes the order of its epoch once. A state that
        # is restored has a seed of its own.
        key = self._data.seed, epoch
        known, view = self._view
        if known != key:
            view = self._data.fixed(epoch)
            self._view = key, view
        return view[index]

    def _place(self, index):
        """The epoch of the data, and the batch in it."""
        size = len(self._data)
        passes, index = divmod(index, size)
        # No pass of this epoch is one of another epoch.
        return self.epoch * math.ceil(self._num_steps / size) + passes, index
