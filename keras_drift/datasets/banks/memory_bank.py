"""A memory bank: ring buffers of the newest samples of every class."""

import copy
import json
import math
import threading
import zipfile

import numpy as np

from keras_drift import checks
from keras_drift.atomic_files import write_arrays
from keras_drift.datasets.arrays.buffer_pool import BufferPool
from keras_drift.datasets.arrays.sample_arrays import as_numpy
from keras_drift.datasets.arrays.sample_arrays import is_float
from keras_drift.datasets.arrays.sample_arrays import read_only
from keras_drift.datasets.grouped.draws import draw


class MemoryBank:
    """Ring buffers that keep the newest samples of every class.

    A drift compares many samples of one class with each other. Where data
    arrive as a stream in any order, add each batch to a bank and draw the
    positives from it; without classes it is one ring, for the unconditional
    samples. Where all of the data can be indexed, use `GroupedDataset`.

    `add`, `sample`, `get_state`, `set_state` and `save` may be called from
    several threads; a lock serializes the calls. Which thread draws which
    samples then depends on the order of their calls.

    Args:
        sample_shape: tuple of ints, the shape of one sample.
        num_classes: int >= 1, or `None`: one ring for all samples. Defaults to
            `None`.
        capacity: int >= 1, how many samples a ring keeps. Memory is used as
            rings fill. Defaults to `128`.
        dtype: floating-point type that samples are kept in; `"float16"` halves
            the memory. Defaults to `"float32"`.
        seed: int >= 0, for drawing samples. Defaults to `0`.

    Attributes:
        counts: int array `(num_classes,)`, or `(1,)` without classes: how many
            samples each ring holds. Read-only.

    Example:

    >>> from keras_drift import datasets
    >>> bank = datasets.MemoryBank((2,), num_classes=3, capacity=4)
    >>> bank.add(np.arange(12.0).reshape(6, 2), labels=[0, 1, 2, 0, 1, 2])
    >>> bank.counts.tolist()
    [2, 2, 2]
    >>> bank.sample(2, labels=[2, 0]).shape
    (2, 2, 2)

    In training, a generator of batches for `DriftModel.fit`:

    ```python
    def batches(stream, groups=8):
        rng = np.random.default_rng(0)
        for images, labels in stream:
            bank.add(images, labels)
            present = np.flatnonzero(bank.counts)
            classes = rng.choice(present, min(groups, len(present)), False)
            yield bank.sample(64, classes), classes
    ```

    Reference:

    - [Deng et al., 2026](https://arxiv.org/abs/2602.04770), appendix A.8
    """

    def __init__(
        self,
        sample_shape,
        num_classes=None,
        capacity=128,
        dtype="float32",
        seed=0,
    ):
        self.sample_shape = _checked_shape(sample_shape)
        if num_classes is not None:
            checks.positive_integer("num_classes", num_classes)
        self.num_classes = num_classes
        self.capacity = checks.positive_integer("capacity", capacity)
        self.dtype = np.dtype(
            checks.choice("dtype", dtype, ("float16", "float32", "float64"))
        )
        self._rng = np.random.default_rng(
            checks.non_negative_integer("seed", seed)
        )
        num_rings = num_classes or 1
        # Replaced as a whole, never written to: others may have it.
        self.counts = read_only(np.zeros(num_rings, "int64"))
        # The slot of each ring that is written next; the rings lie end to end.
        self._next = np.zeros(num_rings, "int64")
        self._rows = np.zeros(
            (num_rings * self.capacity, math.prod(self.sample_shape)),
            self.dtype,
        )
        self._buffers = BufferPool(self.dtype)
        self._lock = threading.Lock()

    def __len__(self):
        return int(self.counts.sum())

    def add(self, samples, labels=None):
        """Adds samples, which replace the oldest of their class.

        Args:
            samples: float array `(n, *sample_shape)`. Numbers that are not
                finite in a narrower type of the bank are refused.
            labels: ints `(n,)` in `[0, num_classes)`; `None` without classes.
        """
        samples = as_numpy(samples)
        if samples.shape[1:] != self.sample_shape or samples.ndim == 0:
            raise ValueError(
                f"`samples` must be (n, *{self.sample_shape}), as the bank was "
                f"made for. Received: samples.shape={samples.shape}"
            )
        if not is_float(samples.dtype):
            raise ValueError(
                "`samples` must be floats. Scale images to [-1, 1] first, as "
                'in `samples.astype("float32") / 127.5 - 1`. '
                f"Received: samples.dtype={samples.dtype}"
            )
        rings = self._rings(labels, len(samples))
        if not len(samples):
            return
        samples = samples.reshape(len(samples), -1)
        ranks, added = _ranks(rings, len(self.counts))
        # Of more new samples than a ring can hold, the last ones stay.
        stays = ranks >= added[rings] - self.capacity
        if not stays.all():
            samples, rings, ranks = samples[stays], rings[stays], ranks[stays]
        samples = self._in_own_type(samples)
        with self._lock:
            slots = (self._next[rings] + ranks) % self.capacity
            self._rows[rings * self.capacity + slots] = samples
            self._next = (self._next + added) % self.capacity
            self.counts = read_only(
                np.minimum(self.counts + added, self.capacity)
            )

    def sample(self, n, labels=None):
        """Draws samples, without repetition where a class has `n` of them.

        Args:
            n: int >= 1, how many of each class.
            labels: ints `(groups,)`, the class of each group; `None` without
                classes.

        Returns:
            An array `(groups, n, *sample_shape)`, or `(n, *sample_shape)`
            without classes, that shares no memory with the bank.
        """
        checks.positive_integer("n", n)
        labels = None if labels is None else as_numpy(labels)
        rings = self._rings(labels, 1 if labels is None else labels.size)
        with self._lock:
            counts = self.counts[rings]
            self._check_not_empty(rings, counts, labels)
            members = draw(counts, n, self._rng)
            rows = rings[:, None] * self.capacity + members
            drawn = self._buffers.empty((rows.size, self._rows.shape[1]))
            # `clip` writes into `drawn` directly; all rows exist.
            self._rows.take(rows.ravel(), axis=0, out=drawn, mode="clip")
        groups = () if labels is None else (len(rings),)
        return drawn.reshape(*groups, n, *self.sample_shape)

    def get_state(self):
        """The samples and the random state, as a dict of copies.

        Returns:
            A dict: `"random"`, the state of the random generator, a dict that
            JSON can hold; and the arrays `"counts"`, `"next"` and `"rows"`.
        """
        with self._lock:
            return {
                "random": self._rng.bit_generator.state,
                "counts": self.counts.copy(),
                "next": self._next.copy(),
                "rows": self._rows[_filled(self.counts, self.capacity)],
            }

    def set_state(self, state):
        """Restores what `get_state` returned; the same samples follow.

        Args:
            state: dict, of a bank that was made with the same arguments.
        """
        try:
            counts, following = state["counts"], state["next"]
            counts, following = np.array(counts), np.array(following)
            filled = _filled(counts, self.capacity)
            rows = np.asarray(state["rows"], self.dtype)
            rng = np.random.default_rng()
            rng.bit_generator.state = state["random"]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ValueError(
                "The state of a memory bank is the dict that its `get_state` "
                f"returned. Received: {type(state).__name__} ({error!r})"
            ) from error
        if not (
            counts.shape == following.shape == self.counts.shape
            and rows.shape == (filled.sum(), self._rows.shape[1])
            # Until a ring is full, its next slot is the first empty one.
            and np.all((counts == self.capacity) | (following == counts))
        ):
            raise ValueError(
                "This state is that of a memory bank made with other "
                f"arguments: here {len(self.counts)} rings of up to "
                f"{self.capacity} samples of {self._rows.shape[1]} numbers. "
                f"Received: counts.shape={counts.shape}, "
                f"rows.shape={rows.shape}"
            )
        with self._lock:
            self._rng = rng
            self.counts, self._next = read_only(counts), following
            self._rows[filled] = rows

    def save(self, path):
        """Writes samples and random state to one file, whole or not at all.

        Args:
            path: of the file; by convention it ends in `.npz`.
        """
        state = self.get_state()
        arguments = {
            "sample_shape": self.sample_shape,
            "num_classes": self.num_classes,
            "capacity": self.capacity,
            "dtype": self.dtype.name,
            "random": state.pop("random"),
        }
        write_arrays(path, {"state": json.dumps(arguments), **state})

    @classmethod
    def load(cls, path):
        """Reads what `save` wrote; the same samples follow as there.

        Args:
            path: of the file.

        Returns:
            A `MemoryBank`.
        """
        try:
            with open(path, "rb") as file, np.load(file) as arrays:
                state = dict(arrays)
            arguments = json.loads(str(state.pop("state")))
            state["random"] = arguments.pop("random")
            bank = cls(**arguments)
            bank.set_state(state)
        except (
            EOFError,
            KeyError,
            TypeError,
            ValueError,
            zipfile.BadZipFile,
        ) as error:
            raise ValueError(
                "This is not a file that `MemoryBank.save` wrote, or it is "
                f"damaged. Received: path={str(path)!r}"
            ) from error
        return bank

    def __getstate__(self):
        # A lock cannot be copied, nor sent to another process.
        with self._lock:
            state = {k: v for k, v in vars(self).items() if k != "_lock"}
            return copy.deepcopy(state)

    def __setstate__(self, state):
        vars(self).update(state, _lock=threading.Lock())
        read_only(self.counts)

    def _check_not_empty(self, rings, counts, labels):
        if counts.all():
            return
        raise ValueError(
            "There is nothing to draw from yet: `add` samples first, or "
            "draw from classes that have some, "
            "`np.flatnonzero(bank.counts)`. Received: "
            + (
                "an empty bank"
                if labels is None
                else f"labels with the empty class {rings[counts == 0][0]}"
            )
        )

    def _in_own_type(self, samples):
        """The samples in the type of the bank, if that can hold them."""
        if np.can_cast(samples.dtype, self.dtype):
            return samples
        with np.errstate(over="ignore"):
            kept = samples.astype(self.dtype)
        finite = np.isfinite(kept).all(axis=1)
        if not finite.all():
            first = samples[np.argmin(finite)]
            raise ValueError(
                f"The bank keeps samples in {self.dtype.name}, up to "
                f"{np.finfo(self.dtype).max:g}, and these are not finite in "
                "it. Scale them, or make the bank with a wider `dtype`. "
                f"Received: a sample of values from {float(first.min()):g} "
                f"to {float(first.max()):g}"
            )
        return kept

    def _rings(self, labels, size):
        """The ring of each sample, from its label."""
        if (labels is None) != (self.num_classes is None):
            raise ValueError(
                "`labels` go with a bank with classes. Received: labels="
                f"{'None' if labels is None else 'given'}, for a bank with "
                f"num_classes={self.num_classes}"
            )
        if labels is None:
            return np.zeros(size, "int64")
        labels = as_numpy(labels)
        if labels.shape != (size,) or labels.dtype.kind not in "iu":
            raise ValueError(
                "`labels` must be integers, one for each. Received: "
                f"labels of shape {labels.shape} and type {labels.dtype}"
            )
        wrong = (labels < 0) | (labels >= self.num_classes)
        if wrong.any():
            raise ValueError(
                f"`labels` are class numbers from 0 to {self.num_classes - 1}. "
                f"Received: labels[{np.argmax(wrong)}]={labels[wrong][0]}"
            )
        return labels.astype("int64")


def _filled(counts, capacity):
    """Which rows hold samples: a ring fills from its first slot on."""
    return (np.arange(capacity) < counts[:, None]).ravel()


def _ranks(rings, num_rings):
    """The rank of each sample within its ring, and how many each ring gets."""
    added = np.bincount(rings, minlength=num_rings)
    order = np.argsort(rings, kind="stable")
    first = np.repeat(np.cumsum(added) - added, added)
    ranks = np.empty_like(rings)
    ranks[order] = np.arange(len(rings)) - first
    return ranks, added


def _checked_shape(sample_shape):
    if not isinstance(sample_shape, (tuple, list)) or not sample_shape:
        raise ValueError(
            "`sample_shape` is the shape of one sample, such as (32, 32, 3). "
            f"Received: sample_shape={sample_shape!r}"
        )
    return tuple(
        checks.positive_integer("sample_shape", size) for size in sample_shape
    )
