"""The newest samples of every class."""

import json
import math
import os
import pathlib
import sys
import zipfile

import numpy as np

from keras_drift import checks
from keras_drift.datasets.draws import draw


class MemoryBank:
    """Ring buffers that keep the newest samples of every class.

    A drift compares many samples of one class with each other. Where data
    arrive as a stream in any order, add each batch to a bank and draw the
    positives from it; without classes it is one ring, for the unconditional
    samples. Where all of the data can be indexed, take `GroupedDataset`.

    Args:
        sample_shape: tuple of ints, the shape of one sample.
        num_classes: int >= 1, or `None`: one ring for all samples. Defaults to
            `None`.
        capacity: int >= 1, how many samples a ring keeps. Memory is used as
            rings fill. Defaults to `128`.
        dtype: floating-point type that samples are kept in; `"float16"` halves
            the memory. Defaults to `"float32"`.
        seed: int >= 0, of the draws. Defaults to `0`.

    Attributes:
        counts: int array `(num_classes,)`, or `(1,)` without classes: how many
            samples each ring holds.

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
        self.counts = np.zeros(num_rings, "int64")
        # The slot of each ring that is written next; the rings lie end to end.
        self._next = np.zeros(num_rings, "int64")
        self._rows = np.zeros(
            (num_rings * self.capacity, math.prod(self.sample_shape)),
            self.dtype,
        )
        self._spare = _Spare(self.dtype)

    def __len__(self):
        return int(self.counts.sum())

    def add(self, samples, labels=None):
        """Adds samples, in place of the oldest of their class.

        Args:
            samples: float array `(n, *sample_shape)`.
            labels: ints `(n,)` in `[0, num_classes)`; `None` without classes.
        """
        samples = np.asarray(samples)
        if samples.shape[1:] != self.sample_shape or samples.ndim == 0:
            raise ValueError(
                f"`samples` must be (n, *{self.sample_shape}), as the bank was "
                f"made for. Received: samples.shape={samples.shape}"
            )
        if samples.dtype.kind != "f":
            raise ValueError(
                "`samples` must be floats. Scale images to [-1, 1] first, as "
                'in `samples.astype("float32") / 127.5 - 1`. '
                f"Received: samples.dtype={samples.dtype}"
            )
        rings = self._rings(labels, len(samples))
        if not len(samples):
            return
        turns, added = _turns(rings, len(self.counts))
        slots = (self._next[rings] + turns) % self.capacity
        # Of more new samples than a ring can hold, the last ones stay.
        stay = turns >= added[rings] - self.capacity
        rows = rings * self.capacity + slots
        samples = samples.reshape(len(samples), -1)
        if stay.all():
            self._rows[rows] = samples
        else:
            self._rows[rows[stay]] = samples[stay]
        self._next = (self._next + added) % self.capacity
        self.counts = np.minimum(self.counts + added, self.capacity)

    def sample(self, n, labels=None):
        """Draws samples, without repetition where a class has `n` of them.

        Args:
            n: int >= 1, how many of each class.
            labels: ints `(groups,)`, the class of each group; `None` without
                classes.

        Returns:
            An array `(groups, n, *sample_shape)`, or `(n, *sample_shape)`
            without classes, which is yours alone.
        """
        checks.positive_integer("n", n)
        labels = None if labels is None else np.asarray(labels)
        rings = self._rings(labels, 1 if labels is None else labels.size)
        counts = self.counts[rings]
        if not counts.all():
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
        members = draw(counts, n, self._rng)
        rows = rings[:, None] * self.capacity + members
        drawn = self._spare.array((rows.size, self._rows.shape[1]))
        # `clip` writes into `drawn` directly; all rows are there.
        self._rows.take(rows.ravel(), axis=0, out=drawn, mode="clip")
        groups = () if labels is None else (len(rings),)
        return drawn.reshape(*groups, n, *self.sample_shape)

    def save(self, path):
        """Writes samples and random state to one file, whole or not at all.

        Args:
            path: of the file; by custom it ends in `.npz`.
        """
        path = pathlib.Path(path)
        state = {
            "sample_shape": self.sample_shape,
            "num_classes": self.num_classes,
            "capacity": self.capacity,
            "dtype": self.dtype.name,
            "random": self._rng.bit_generator.state,
        }
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        try:
            with open(partial, "wb") as file:
                np.savez(
                    file,
                    state=json.dumps(state),
                    counts=self.counts,
                    next=self._next,
                    rows=self._rows[self._filled()],
                )
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path):
        """Reads what `save` wrote; the draws go on where they were.

        Args:
            path: of the file.

        Returns:
            A `MemoryBank`.
        """
        try:
            with open(path, "rb") as file, np.load(file) as arrays:
                parts = dict(arrays)
            state = json.loads(str(parts["state"]))
            random = state.pop("random")
            bank = cls(**state)
            bank._rng.bit_generator.state = random
            bank.counts, bank._next = parts["counts"], parts["next"]
            bank._rows[bank._filled()] = parts["rows"]
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

    def _filled(self):
        """Which rows hold samples: a ring fills from its first slot on."""
        return (np.arange(self.capacity) < self.counts[:, None]).ravel()

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
        labels = np.asarray(labels)
        if labels.shape != (size,) or labels.dtype.kind not in "iu":
            raise ValueError(
                "`labels` must be whole numbers, one for each. Received: "
                f"labels of shape {labels.shape} and type {labels.dtype}"
            )
        wrong = (labels < 0) | (labels >= self.num_classes)
        if wrong.any():
            raise ValueError(
                f"`labels` are class numbers from 0 to {self.num_classes - 1}. "
                f"Received: labels[{np.argmax(wrong)}]={labels[wrong][0]}"
            )
        return labels.astype("int64")


class _Spare:
    """Hands out arrays, again once nobody holds them any more.

    Memory that the system has just given costs more than the copy into it.
    """

    # One array is in the hands of the caller, another on its way to a device.
    _MOST = 3

    def __init__(self, dtype):
        self._dtype = dtype
        self._arrays = [np.empty(0)]
        self._unused = sys.getrefcount(self._arrays[0])

    def array(self, shape):
        """An array of a shape, with anything in it."""
        self._arrays = [a for a in self._arrays if a.shape == shape]
        for i in range(len(self._arrays)):
            # Views of an array hold it as well.
            if sys.getrefcount(self._arrays[i]) == self._unused:
                return self._arrays[i]
        array = np.empty(shape, self._dtype)
        if len(self._arrays) < self._MOST:
            self._arrays.append(array)
        return array


def _turns(rings, num_rings):
    """How many samples of its ring come before each, and how many there are."""
    added = np.bincount(rings, minlength=num_rings)
    order = np.argsort(rings, kind="stable")
    first = np.repeat(np.cumsum(added) - added, added)
    turns = np.empty_like(rings)
    turns[order] = np.arange(len(rings)) - first
    return turns, added


def _checked_shape(sample_shape):
    if not isinstance(sample_shape, (tuple, list)) or not sample_shape:
        raise ValueError(
            "`sample_shape` is the shape of one sample, such as (32, 32, 3). "
            f"Received: sample_shape={sample_shape!r}"
        )
    return tuple(
        checks.positive_integer("sample_shape", size) for size in sample_shape
    )
