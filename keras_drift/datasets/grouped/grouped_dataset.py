"""Batches of groups, one class each."""

import copy
import math

import numpy as np

from keras_drift import checks
from keras_drift.datasets.arrays import sample_arrays
from keras_drift.datasets.arrays.halves import in_halves
from keras_drift.datasets.arrays.seeded_dataset import SeededDataset
from keras_drift.datasets.grouped.draws import draw


class GroupedDataset(SeededDataset):
    """Random batches of groups, each of which holds samples of one class.

    A drift compares generated samples of a class with data of the same class,
    so a batch needs several samples per class, which a shuffled data set does
    not provide. Choose it for training with labels, and `ArrayDataset` without.
    Only the samples drawn are read: `samples` may be a `np.memmap` larger than
    memory.

    Every class is visited equally often, to within one visit, however many
    samples it has. A batch depends only on the seed, the epoch and its index,
    so the number of workers has no effect.

    Args:
        samples: float array `(num_samples, ...)`.
        labels: int array `(num_samples,)`, zero or positive, or `None`: all
            samples are one group. Defaults to `None`.
        groups_per_batch: int > 0, the number of different classes in a batch.
            Defaults to all classes that have samples.
        positives: int > 0, the number of samples drawn for each group: without
            repetition if the class has enough of them. Defaults to `32`.
        unconditional: int >= 0, the number of samples of any class drawn for
            each group, for guidance. Defaults to `0`.
        seed: int >= 0. Defaults to `0`.
        steps_per_epoch: int > 0, batches per epoch. Defaults to as many as it
            takes to draw `num_samples` positives.
        share: `(index, count)`: the data set gives the part `index` of `count`
            equal parts of each batch, and reads no other: of its groups, or of
            the samples of a single group. For the processes of JAX, each of
            which gives its share, `(process_index, num_processes)`: together
            they give the batches of one process. Defaults to `None`: the whole
            batch.
        **kwargs: passed to `keras.utils.PyDataset`: `workers`,
            `use_multiprocessing`, `max_queue_size`.

    Attributes:
        sample_shape: tuple, the shape of one sample.
        num_samples: int.
        num_classes: int, one more than the largest label, as embeddings count;
            `None` without labels.
        labels_present: int32 array of the labels that have samples, ascending;
            `None` without labels.
        smallest_class: int, the samples of the class that has fewest.
        draws_copies: bool, whether this is fewer than `positives`, so that a
            batch holds some of them twice. Metrics then have floors that are
            too low: they compare two halves of a batch.
        epoch: int, raised by Keras when `fit` starts and after each epoch. Set
            it to the `initial_epoch` of `fit` to resume.

    Returns:
        Item `i` is `(x, labels)`, or `(x,)` without labels: `x` is a float32
        array `(groups, positives, ...)`, or if `unconditional` is positive a
        dict of it as `"positives"` and an array `(groups, unconditional, ...)`
        as `"unconditional"`; `labels` is an int32 array `(groups,)` without
        repetition.

    Raises:
        TypeError: if a count or a label is not an integer.
        ValueError: if samples are not finite floats, labels do not fit them, or
            a batch needs more classes than there are.

    Example:

    >>> from keras_drift import datasets
    >>> samples, labels = np.random.normal(size=(100, 2)), np.arange(100) % 10
    >>> batches = datasets.GroupedDataset(
    ...     samples, labels, groups_per_batch=5, positives=8, unconditional=4
    ... )
    >>> x, group_labels = batches[0]
    >>> x["positives"].shape, x["unconditional"].shape, group_labels.shape
    ((5, 8, 2), (5, 4, 2), (5,))
    """

    scale_is_checked = True  # see `sample_arrays.checked_samples`
    group_axis = 0
    sample_axis = 1

    def __init__(
        self,
        samples,
        labels=None,
        groups_per_batch=None,
        positives=32,
        unconditional=0,
        seed=0,
        steps_per_epoch=None,
        share=None,
        **kwargs,
    ):
        super().__init__(seed, **kwargs)
        self._samples = sample_arrays.checked_samples(samples)
        self.num_samples = len(self._samples)
        self.sample_shape = self._samples.shape[1:]
        self.positives = checks.positive_integer("positives", positives)
        self.unconditional = checks.non_negative_integer(
            "unconditional", unconditional
        )

        self._sort_by(labels)
        self.groups_per_batch = self._checked_groups(groups_per_batch)

        if steps_per_epoch is None:
            batch_size = self.groups_per_batch * self.positives
            steps_per_epoch = math.ceil(self.num_samples / batch_size)
        self.steps_per_epoch = checks.positive_integer(
            "steps_per_epoch", steps_per_epoch
        )
        self.share = (0, 1) if share is None else self._checked_share(share)
        self._in_turn = None  # see `for_evaluation`

    def __len__(self):
        return self.steps_per_epoch

    @property
    def placement(self):
        """The axis to spread over devices: `"groups"` or `"samples"`.

        Groups are independent of each other; a single one has to be divided.
        """
        return "groups" if self.groups_per_batch > 1 else "samples"

    @property
    def smallest_class(self):
        """The number of samples of the class that has fewest."""
        return int(self._counts.min())

    @property
    def draws_copies(self):
        """Whether batches hold samples of the smallest class twice."""
        return self.smallest_class < self.positives

    def for_evaluation(self):
        """The same data for metrics: each class gives its samples in turn.

        They have a random order, which begins anew where a class has no more.
        Where a sample is in several batches, it is always at an even place of
        its group, or always at an odd one.

        Returns:
            A data set that shares the samples with this one, as `fixed`, with
            the same batches in every epoch.
        """
        view = self.fixed()
        rng = np.random.default_rng((self.seed, view.epoch, 0, 2))
        class_of = np.repeat(np.arange(len(self._counts)), self._counts)
        order = np.argsort(class_of + rng.random(self.num_samples))
        view._in_turn = self._order[order]
        return view

    def _next_in_turn(self, index, classes):
        """Indices of the samples of the visit of a batch to its classes."""
        counts = self._counts[classes, None]
        # An odd class would change halves each time it begins anew.
        even = np.maximum(counts - counts % 2, 1)
        counts = np.where(counts == self.positives, counts, even)
        places = index * self.groups_per_batch + np.arange(len(classes))
        visits = places[:, None] // len(self._counts)
        members = visits * self.positives + np.arange(self.positives)
        return self._in_turn[
            self._starts[classes, None] + in_halves(members % counts)
        ]

    def _batch(self, index):
        rng = np.random.default_rng((self.seed, self.epoch, index))
        classes = self._classes_of_batch(index)
        if self._in_turn is None:
            members = draw(self._counts[classes], self.positives, rng)
            members = self._order[self._starts[classes, None] + members]
        else:
            members = self._next_in_turn(index, classes)
        x = self._read(self._share_of(members))
        if self.unconditional:
            sizes = np.full(len(classes), self.num_samples)
            indices = draw(sizes, self.unconditional, rng)
            indices = self._share_of(indices)
            x = {"positives": x, "unconditional": self._read(indices)}
        if self.labels_present is None:
            return (x,)
        return x, self.labels_present[self._share_of(classes)]

    def _whole(self):
        # Any number of processes may go on with the run.
        whole = copy.copy(self)
        whole.share = (0, 1)
        return whole

    def _share_of(self, batch):
        """The part of a batch of indices, or of classes, that is given."""
        index, count = self.share
        axis = int(self.placement == "samples")
        if batch.ndim == axis:  # all parts have the class of the only group
            return batch
        return np.split(batch, count, axis)[index]

    def _classes_of_batch(self, index):
        """Indices of the batch's classes into `labels_present`.

        Consecutive batches read a random permutation of the classes cyclically.
        When the end of a batch is the end of the permutation, every class was
        visited equally often, and the next batch starts with a new one.
        """
        num_classes, groups = len(self._counts), self.groups_per_batch
        cycle, step = divmod(
            index, num_classes // math.gcd(num_classes, groups)
        )
        # The final 1 keeps this stream apart from the one that draws samples.
        rng = np.random.default_rng((self.seed, self.epoch, cycle, 1))
        order = rng.permutation(num_classes)
        return order[(step * groups + np.arange(groups)) % num_classes]

    def _read(self, indices):
        return sample_arrays.read(self._samples, indices)

    def _sort_by(self, labels):
        """Class `c` has the samples `order[starts[c]:][:counts[c]]`."""
        self.labels_present = self.num_classes = None
        if labels is None:
            self._order = np.arange(self.num_samples)
            self._counts = np.array([self.num_samples])
        else:
            labels = _checked_labels(labels, self.num_samples)
            self._order = np.argsort(labels, kind="stable")
            present, self._counts = np.unique(labels, return_counts=True)
            self.labels_present = sample_arrays.read_only(
                present.astype("int32")
            )
            self.num_classes = int(present[-1]) + 1
        self._starts = np.cumsum(self._counts) - self._counts

    def _checked_groups(self, groups_per_batch):
        available = len(self._counts)
        if groups_per_batch is None:
            return available
        groups = checks.positive_integer("groups_per_batch", groups_per_batch)
        if groups > available and self.labels_present is None:
            raise ValueError(
                "Without labels all samples are one group. Give `labels`, or "
                f"leave `groups_per_batch` out. Received: "
                f"groups_per_batch={groups}, labels=None"
            )
        if groups > available:
            raise ValueError(
                "The groups of a batch are different classes, and only "
                f"{available} classes have samples. Take fewer groups and more "
                f"`positives`. Received: groups_per_batch={groups}"
            )
        return groups

    def _checked_share(self, share):
        if not isinstance(share, (tuple, list)) or len(share) != 2:
            raise TypeError(
                "`share` must be `(index, count)`, two integers. "
                f"Received: share={share!r}"
            )
        index, count = share
        checks.non_negative_integer("share[0]", index)
        checks.positive_integer("share[1]", count)
        sizes = {"groups_per_batch": self.groups_per_batch}
        if self.placement == "samples":
            sizes = {
                "positives": self.positives,
                "unconditional": self.unconditional,
            }
        if index >= count or any(size % count for size in sizes.values()):
            received = ", ".join(f"{k}={v}" for k, v in sizes.items())
            raise ValueError(
                "`share` is `(index, count)`, one of `count` equal parts of a "
                "batch: the index is less than the count, which must divide "
                "the groups of a batch, or the samples of a single group. "
                f"Received: share={share}, {received}"
            )
        return index, count


def _checked_labels(labels, num_samples):
    labels = sample_arrays.as_numpy(labels)
    if labels.ndim != 1:
        raise ValueError(
            "`labels` must be one number per sample, `(num_samples,)`. Use "
            "`labels.argmax(-1)` if they are one-hot, `labels.squeeze(-1)` if "
            f"they are a column. Received: labels.shape={labels.shape}"
        )
    if len(labels) != num_samples:
        raise ValueError(
            "There must be one label per sample. Received: "
            f"len(samples)={num_samples}, len(labels)={len(labels)}"
        )
    if labels.dtype.kind not in "iu":
        raise TypeError(
            "`labels` must be integers, as of "
            "`np.unique(labels, return_inverse=True)[1]`. "
            f"Received: labels.dtype={labels.dtype}"
        )
    if labels.min() < 0:
        first = int(np.argmax(labels < 0))
        raise ValueError(
            "`labels` must be zero or positive. Leave out samples without a "
            f"class. Received: labels[{first}]={labels[first]}"
        )
    if labels.max() > np.iinfo("int32").max:
        first = int(np.argmax(labels))
        raise ValueError(
            "`labels` must fit into 32 bits. Number the classes from 0 on, as "
            "by `np.unique(labels, return_inverse=True)[1]`. "
            f"Received: labels[{first}]={labels[first]}"
        )
    return labels
