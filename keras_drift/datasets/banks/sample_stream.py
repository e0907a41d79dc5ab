"""Reads a given number of samples at a time from a stream of batches."""

import copy

import keras
import numpy as np

from keras_drift import user_warnings
from keras_drift.datasets.arrays import sample_arrays

_END = object()
_MOST_EMPTY = 1000


class SampleStream:
    """Reads samples and labels, in portions of one size, from a stream.

    Args:
        stream: an iterable of `(samples, labels)`. An iterator is read until it
            ends; any other iterable is read again from its start.
        sample_shape: tuple of ints.
        num_classes: int, labels are from `0` to `num_classes - 1`.
    """

    def __init__(self, stream, sample_shape, num_classes):
        _check_stream(stream)
        self._stream = stream
        self._sample_shape = sample_shape
        self._num_classes = num_classes
        # What is read by index can go on from any position.
        indexed = (keras.utils.PyDataset, list, tuple)
        self._is_indexed = isinstance(stream, indexed)
        self._iterator = None
        self._index = 0  # within this pass over the stream
        self._num_read = 0
        # What was read, and how many of it were taken.
        self._samples = np.empty((0, *sample_shape), "float32")
        self._labels = np.empty((0,), "int64")
        self._num_taken = 0

    def take(self, count):
        """The next `count` samples and their labels."""
        num_empty = 0
        while len(self._samples) - self._num_taken < count:
            samples, labels = self._checked(self._next())
            self._num_read += len(samples)
            num_empty = 0 if len(samples) else num_empty + 1
            if num_empty == _MOST_EMPTY:
                raise ValueError(
                    "The stream gives batches without samples. Received: "
                    f"{num_empty} empty batches in a row, after "
                    f"{self._num_read} samples"
                )
            rest_of_samples, rest_of_labels = self._rest()
            if len(rest_of_samples):
                samples = np.concatenate([rest_of_samples, samples])
                labels = np.concatenate([rest_of_labels, labels])
            self._samples, self._labels = samples, labels
            self._num_taken = 0
        taken = slice(self._num_taken, self._num_taken + count)
        self._num_taken += count
        return self._samples[taken], self._labels[taken]

    def _rest(self):
        """What was read and not taken yet."""
        return self._samples[self._num_taken :], self._labels[self._num_taken :]

    def get_state(self):
        """The position, and what was read and not taken yet.

        Returns:
            A dict: `"position"`, the state of the stream, `None` if it has
            none; `"index"`, the batches read in this pass; and the arrays
            `"samples"` and `"labels"`.
        """
        holder = self._holder()
        position = None if holder is None else holder.get_state()
        samples, labels = self._rest()
        return {
            "position": copy.deepcopy(position),
            "index": self._index,
            "samples": samples.copy(),
            "labels": labels.copy(),
        }

    def set_state(self, state):
        """Goes on where `get_state` was called."""
        self._iterator = None
        self._index = int(state["index"])
        holder = self._holder()
        if holder is not None and state["position"] is not None:
            holder.set_state(copy.deepcopy(state["position"]))
        elif not self._is_indexed:
            user_warnings.warn(
                "The stream of this `BankedDataset` cannot tell its position, "
                "so it goes on where it stands: the banks are those of before, "
                "what arrives next is not. For a run that resumes exactly, "
                "give a stream with `get_state` and `set_state`. Received: "
                f"stream of type {type(self._stream).__name__}"
            )
        self._samples = np.array(state["samples"], "float32")
        self._labels = np.array(state["labels"], "int64")
        self._num_taken = 0

    def _holder(self):
        """What has the state of the stream: its iterator, or the stream."""
        if _has_state(self._stream):
            return self._stream
        if self._is_indexed:
            return None
        if self._iterator is None:
            self._iterator = iter(self._stream)
        return self._iterator if _has_state(self._iterator) else None

    def _next(self):
        """The next batch of the stream, from its start where it has ended."""
        if self._is_indexed:
            return self._next_indexed()
        if self._iterator is None:
            self._iterator = iter(self._stream)
        for _ in range(2):
            batch = next(self._iterator, _END)
            if batch is not _END:
                self._index += 1
                return batch
            if self._iterator is self._stream or not self._index:
                break
            self._iterator, self._index = iter(self._stream), 0
        raise ValueError(
            f"The stream ended after {self._num_read} samples, and training "
            "needs more. Give an iterator without an end, or an iterable that "
            "can be read again, such as a data set instead of `iter` of it. "
            f"Received: stream of type {type(self._stream).__name__}"
        )

    def _next_indexed(self):
        stream = self._stream
        if isinstance(stream, keras.utils.PyDataset):
            length = stream.num_batches
        else:
            length = len(stream)
        if length is not None and self._index >= length:
            self._index = 0
            if hasattr(stream, "on_epoch_end"):
                stream.on_epoch_end()
        batch = stream[self._index]
        self._index += 1
        return batch

    def _checked(self, batch):
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise ValueError(
                "The stream of a `BankedDataset` gives pairs `(samples, "
                "labels)`. Received: a batch of type "
                f"{type(batch).__name__}"
                + (
                    f" with {len(batch)} parts"
                    if isinstance(batch, (tuple, list, dict))
                    else ""
                )
            )
        samples, labels = (sample_arrays.as_numpy(part) for part in batch)
        self._check_samples(samples)
        self._check_labels(labels, len(samples))
        # Copies: the stream may use its memory again.
        return np.array(samples, "float32"), np.array(labels, "int64")

    def _check_samples(self, samples):
        if samples.shape[1:] != self._sample_shape or samples.ndim == 0:
            raise ValueError(
                "The samples of the stream must be `(n, *sample_shape)`, here "
                f"with sample_shape={self._sample_shape}. Received: samples of "
                f"shape {samples.shape}, after {self._num_read} samples"
            )
        if not sample_arrays.is_float(samples.dtype):
            raise ValueError(
                "The samples of the stream must be floats. Scale images to "
                '[-1, 1] first, as in `samples.astype("float32") / 127.5 - 1`. '
                f"Received: samples of type {samples.dtype}"
            )
        # Of one bad sample in a bank, every later field would be NaN.
        with np.errstate(over="ignore"):
            finite = np.isfinite(samples.astype("float32", copy=False))
        finite = finite.all(axis=tuple(range(1, finite.ndim)))
        if not finite.all():
            raise ValueError(
                "The samples of the stream must be finite. Leave out those "
                f"with NaN or infinity. Received: {np.sum(~finite)} such "
                f"samples, the first at {self._num_read + np.argmin(finite)}"
            )

    def _check_labels(self, labels, size):
        if labels.shape != (size,) or labels.dtype.kind not in "iu":
            raise ValueError(
                "The labels of the stream must be integers, one for each "
                f"sample. Received: {size} samples, labels of shape "
                f"{labels.shape} and type {labels.dtype}"
            )
        wrong = (labels < 0) | (labels >= self._num_classes)
        if wrong.any():
            raise ValueError(
                "The labels of the stream must be class numbers from 0 to "
                f"num_classes - 1. Received: a label of {labels[wrong][0]} "
                f"after {self._num_read + np.argmax(wrong)} samples, with "
                f"num_classes={self._num_classes}"
            )


def _has_state(stream):
    return hasattr(stream, "get_state") and hasattr(stream, "set_state")


def _check_stream(stream):
    if callable(stream) and not hasattr(stream, "__iter__"):
        raise TypeError(
            "`stream` is an iterable of `(samples, labels)`, not a function "
            f"that makes one: call it. Received: stream={stream!r}"
        )
    is_data_set = isinstance(stream, keras.utils.PyDataset)
    if (
        hasattr(stream, "shape")
        or isinstance(stream, (str, dict))
        or not (is_data_set or hasattr(stream, "__iter__"))
    ):
        raise TypeError(
            "`stream` is an iterable of batches `(samples, labels)`. Data in "
            "arrays are better read by `GroupedDataset`. Received: stream of "
            f"type {type(stream).__name__}"
        )
    if isinstance(stream, (list, tuple)) and not len(stream):
        raise ValueError("`stream` has no batches. Received: an empty list")
