"""The base class of data sets whose batches follow from a seed."""

import copy

import keras
import numpy as np

from keras_drift import checks
from keras_drift import fingerprints
from keras_drift import user_warnings
from keras_drift.datasets.arrays import sample_arrays


class SeededDataset(keras.utils.PyDataset):
    """Data set whose batches depend on `(seed, epoch, index)` alone.

    The number of workers and the order in which batches are read therefore
    change nothing, and two integers are all the state that a resumed run needs.
    Subclasses write `__len__` and `_batch(index)`.

    Args:
        seed: int >= 0, for the random numbers of all epochs.
        **kwargs: passed to `keras.utils.PyDataset`: `workers`,
            `use_multiprocessing`, `max_queue_size`.

    Attributes:
        epoch: int, the epoch whose batches are read next.
        first_batch: int, the first batch of the epoch that is needed, where a
            run goes on in the middle of it; it stands for those before it,
            which are not read.
        group_axis: int, the axis of a batch of samples that runs over groups;
            `None` if a batch is one flat group.
        sample_axis: int, the axis that runs over the samples of a group.
        placement: `"groups"` or `"samples"`: which of the two axes is to be
            spread over several devices.
        num_samples: int, where the data set holds its samples; else `None`.
        is_fixed: bool, whether it has the same batches in every epoch.
        has_equal_batches: bool, whether all batches have the shapes of the
            first one, which TensorFlow compiles for.
        scale_is_checked: bool, whether it has warned of images that are not
            scaled to `[-1, 1]`.
    """

    group_axis = None
    sample_axis = 0
    placement = "samples"
    num_samples = None
    has_equal_batches = True
    scale_is_checked = False

    def __init__(self, seed, **kwargs):
        super().__init__(**kwargs)
        self.seed = checks.non_negative_integer("seed", seed)
        self.epoch = 0
        self.first_batch = 0
        self.is_fixed = False
        self._held = (None, None)
        # One tuple, replaced as a whole: threads see all of it or none.
        self._shuffled = (None, None)
        self._known_checksum = (None, None)

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(
                f"An epoch has {len(self)} batches, counted from 0. "
                f"Received: index={index}"
            )
        if index < self.first_batch:
            return self._batch_for_skipped()
        return self._batch(index)

    def on_epoch_end(self):
        """Advances to the next epoch. Called by Keras."""
        if not self.is_fixed:
            self.epoch += 1

    def fixed(self, epoch=0):
        """The same data, with the same batches in every epoch.

        Validation needs this: if other samples were drawn in every epoch, early
        stopping would follow their noise.

        Args:
            epoch: int >= 0, the epoch to repeat. Defaults to `0`.

        Returns:
            A data set that shares the samples with this one, but not its
            epoch: reading or advancing one leaves the other as it is.
        """
        view = copy.copy(self)
        view.epoch = checks.non_negative_integer("epoch", epoch)
        view.first_batch = 0
        view.is_fixed = True
        return view

    def for_evaluation(self):
        """The same data, with the same batches in every epoch, for metrics.

        Metrics compare the real samples at even places of a batch with those at
        odd ones. Where a sample is in several batches, it is in the same of the
        two sets as far as possible, or sets gathered over batches would share
        samples.

        Returns:
            A data set that shares the samples with this one, as `fixed`.
        """
        return self.fixed()

    def get_state(self):
        """The position in the data: a dict that JSON can hold."""
        return {
            "seed": self.seed,
            "epoch": int(self.epoch),
            "checksum": self.checksum(),
        }

    def set_state(self, state):
        """Continues where `get_state` was called.

        Args:
            state: dict that `get_state` returned. A data set that was made with
                the same arguments then gives the same batches, bit for bit. One
                whose first batch is another one, since it has other samples or
                arguments, continues with its own batches and a warning.
        """
        position = {"seed", "epoch"}
        # Older checkpoints have no checksum.
        if not isinstance(state, dict) or {*state} - {"checksum"} != position:
            raise ValueError(
                f"The state of a `{type(self).__name__}` is the dict that its "
                "`get_state` returned, with `seed` and `epoch`. "
                f"Received: state={state!r}"
            )
        seed = checks.non_negative_integer("seed", state["seed"])
        epoch = checks.non_negative_integer("epoch", state["epoch"])
        self.seed, self.epoch = seed, epoch
        if "checksum" in state and state["checksum"] != self.checksum():
            user_warnings.warn(
                "These are not the data of the checkpoint: with the same seed "
                "their first batch is another one, so this run does not repeat "
                "the one that was stopped. Make the data set of the same "
                "samples with the same arguments, unless you changed them on "
                f"purpose. Received: state={state!r}"
            )

    def checksum(self):
        """Of the first batch of all and the numbers of batches and samples.

        It depends on the samples, the labels and most arguments, and reading it
        does not take longer the more samples there are.
        """
        known, checksum = self._known_checksum
        if known != self.seed:
            sizes = [len(self), self.num_samples or 0]
            first_batch = self._whole().fixed()[0]
            parts = [sizes, *keras.tree.flatten(first_batch)]
            checksum = fingerprints.of_arrays(*map(np.asarray, parts))
            self._known_checksum = (self.seed, checksum)
        return checksum

    def _whole(self):
        """The same data with whole batches, if these are parts of them."""
        return self

    def _batch_for_skipped(self):
        """A batch of the same shapes as those that are not read."""
        key = (self.seed, self.epoch, self.first_batch)
        known, batch = self._held
        if known != key:
            batch = self._batch(self.first_batch)
            self._held = (key, batch)
        return batch

    def _batch(self, index):
        """Item `index`, which is known to be within the epoch."""
        raise NotImplementedError(
            f"`{type(self).__name__}` must define `_batch(index)`."
        )

    def _permutation(self, size):
        """The random order of `size` items in this epoch, computed once."""
        key = (self.seed, self.epoch, size)
        known, order = self._shuffled
        if known != key:
            rng = np.random.default_rng(key[:2])
            order = sample_arrays.read_only(rng.permutation(size))
            self._shuffled = (key, order)
        return order
