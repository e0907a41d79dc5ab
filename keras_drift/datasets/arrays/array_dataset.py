"""Full batches of one group, from arrays."""

import math

import numpy as np

from keras_drift import checks
from keras_drift.datasets.arrays import sample_arrays
from keras_drift.datasets.arrays.halves import in_halves
from keras_drift.datasets.arrays.seeded_dataset import SeededDataset


class ArrayDataset(SeededDataset):
    """Batches of one group of samples, all of one size.

    A drift field depends on the number of samples it is estimated from, so a
    short last batch would estimate, and follow, a different field.
    Here every batch is full, whatever the number of samples, and an epoch shows
    every sample at least once. Choose it for training and validation without
    classes, and `GroupedDataset` for samples with labels.

    A batch depends on `(seed, epoch, index)` alone, so workers and their number
    change nothing.

    Args:
        samples: float array `(num_samples, ...)`. Only the samples of a batch
            are read: it may be a `np.memmap` larger than memory.
        weights: float array `(num_samples,)`, zero or positive: how often each
            sample counts. Those of weight zero are left out. Defaults to
            `None`: once each.
        batch_size: int > 0, the samples in a batch; all of them if there are
            fewer. Defaults to `256`.
        shuffle: bool. `True` goes through a new random order in every epoch;
            the last batch is completed with samples from its beginning, none
            of them twice in a batch. `False` takes evenly spaced windows, which
            overlap where the batch size does not divide the samples: the same
            in every epoch, as for evaluation. Defaults to `True`.
        seed: int >= 0, of the random orders. Defaults to `0`.
        **kwargs: passed to `keras.utils.PyDataset`: `workers`,
            `use_multiprocessing`, `max_queue_size`.

    Attributes:
        sample_shape: tuple, the shape of one sample.
        num_samples: int, those of positive weight.
        epoch: int, raised by Keras when `fit` starts and after each epoch. Set
            it to the `initial_epoch` of `fit` to resume.

    Returns:
        Item `i` is `(x,)`, or `({"positives": x, "weights": w},)` with weights:
        float32 arrays `x`, `(batch, ...)`, and `w`, `(batch,)`, of
        `batch = min(batch_size, num_samples)` samples.

    Raises:
        TypeError: if `batch_size` or `seed` is not an integer.
        ValueError: if samples or weights are not finite floats, or do not fit
            each other.

    Example:

    >>> from keras_drift import datasets
    >>> batches = datasets.ArrayDataset(np.zeros((257, 2)), batch_size=256)
    >>> [x.shape for (x,) in batches]
    [(256, 2), (256, 2)]
    """

    scale_is_checked = True  # see `sample_arrays.checked_samples`

    def __init__(
        self,
        samples,
        weights=None,
        batch_size=256,
        shuffle=True,
        seed=0,
        **kwargs,
    ):
        super().__init__(seed, **kwargs)
        self._samples = sample_arrays.checked_samples(samples)
        self.sample_shape = self._samples.shape[1:]
        self._weights = _checked_weights(weights, len(self._samples))
        # Of a batch of absent samples alone there is no field and no metric.
        self._rows = None
        if self._weights is not None and not self._weights.all():
            self._rows = np.flatnonzero(self._weights)
        self.num_samples = len(
            self._samples if self._rows is None else self._rows
        )
        self.batch_size = min(
            checks.positive_integer("batch_size", batch_size), self.num_samples
        )
        self.shuffle = checks.boolean("shuffle", shuffle)
        self._keeps_halves = False

    def __len__(self):
        return math.ceil(self.num_samples / self.batch_size)

    def for_evaluation(self):
        view = self.fixed()
        view._keeps_halves = True
        return view

    def _batch(self, index):
        order = self._order_of(index)
        if self._rows is not None:
            order = self._rows[order]
        x = sample_arrays.read(self._samples, order)
        if self._weights is None:
            return (x,)
        weights = sample_arrays.read(self._weights, order)
        # Not `(x, None, weights)`: `tf.data` takes no `None`.
        return ({"positives": x, "weights": weights},)

    def _order_of(self, index):
        """Which of the samples that are present are in a batch."""
        if self.shuffle:
            first = index * self.batch_size
        else:
            gaps = max(len(self) - 1, 1)
            first = round(index * (self.num_samples - self.batch_size) / gaps)
        indices = np.arange(first, first + self.batch_size) % self.num_samples
        if self._keeps_halves:
            indices = in_halves(indices)
        if self.shuffle:
            return self._permutation(self.num_samples)[indices]
        return indices


def _checked_weights(weights, num_samples):
    if weights is None:
        return None
    weights = sample_arrays.as_numpy(weights)
    if weights.shape != (num_samples,):
        raise ValueError(
            "`weights` must be one number per sample, "
            f"`({num_samples},)`. Received: weights.shape={weights.shape}"
        )
    if weights.dtype.kind not in "fiub" and weights.dtype.name != "bfloat16":
        raise ValueError(
            "`weights` must be numbers. Received: "
            f"weights.dtype={weights.dtype}"
        )
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any() or not weights.any():
        first = int(np.argmax(wrong))
        raise ValueError(
            "`weights` count samples: they must be finite, none negative and "
            "one positive. Received: "
            + (
                f"weights[{first}]={weights[first]}"
                if wrong.any()
                else "weights that are all zero"
            )
        )
    return weights
