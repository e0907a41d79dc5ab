"""Data set of batches of complete groups, from grouped arrays."""

import math

import keras
import numpy as np

from keras_drift import checks
from keras_drift.byte_order import native
from keras_drift.datasets.arrays.seeded_dataset import SeededDataset


class GroupBatches(SeededDataset):
    """Batches of complete groups, from grouped arrays.

    Args:
        positives: float array `(num_groups, positives, *sample_shape)`.
        labels: int array `(num_groups,)`, or `None`.
        weights: float array `(num_groups, positives)`, or `None`.
        batch_size: int > 0, groups in a batch; the last batch may have fewer,
            each of them complete.
        shuffle: bool, whether groups have a new random order in every epoch.
        seed: int >= 0, of the random order.
    """

    group_axis = 0
    sample_axis = 1
    placement = "groups"

    def __init__(self, positives, labels, weights, batch_size, shuffle, seed):
        super().__init__(seed)
        arrays = {"positives": positives, "labels": labels, "weights": weights}
        self._arrays = {
            name: keras.ops.convert_to_numpy(array)
            for name, array in arrays.items()
            if array is not None
        }
        sizes = {name: len(array) for name, array in self._arrays.items()}
        if len(set(sizes.values())) > 1:
            raise ValueError(
                "Every group has one label and one row of weights. "
                f"Received: arrays of lengths {sizes}"
            )
        self._num_groups = sizes["positives"]
        self._batch_size = min(batch_size, self._num_groups)
        self._shuffle = checks.boolean("shuffle", shuffle)
        self.has_equal_batches = self._num_groups % self._batch_size == 0

    def __len__(self):
        return math.ceil(self._num_groups / self._batch_size)

    def _batch(self, index):
        first = index * self._batch_size
        last = min(first + self._batch_size, self._num_groups)
        # Not a slice: batches are copies, which may be changed.
        rows = np.arange(first, last)
        if self._shuffle:
            rows = self._permutation(self._num_groups)[rows]
        batch = {
            name: native(array[rows]) for name, array in self._arrays.items()
        }
        labels = batch.pop("labels", None)
        if "weights" not in batch:
            batch = batch["positives"]
        return (batch,) if labels is None else (batch, labels)
