"""Flat batches as batches of one group."""

import keras

from keras_drift.datasets.arrays.seeded_dataset import SeededDataset


class OneGroup(SeededDataset):
    """A data set of flat batches, each as one group `(1, n, ...)`.

    TensorFlow takes the first axis of a data set for one of unknown size. Of a
    group of unknown size all pairs are one block, whatever their number.

    Args:
        data: `SeededDataset` of flat batches.
    """

    group_axis = 0
    sample_axis = 1

    def __init__(self, data):
        super().__init__(data.seed)
        self._data = data
        self._view = None

    def __len__(self):
        return len(self._data)

    def _batch(self, index):
        view = self._view
        if view is None or view.epoch != self.epoch:
            # Kept, since a view computes the order of its epoch once.
            view = self._view = self._data.fixed(self.epoch)
        return keras.tree.map_structure(lambda part: part[None], view[index])
