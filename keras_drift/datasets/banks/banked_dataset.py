"""Batches of groups from a stream, by way of memory banks."""

import keras
import numpy as np

from keras_drift import checks
from keras_drift.datasets.banks.draw_ahead import DrawAhead
from keras_drift.datasets.banks.memory_bank import MemoryBank
from keras_drift.datasets.banks.sample_stream import SampleStream
from keras_drift.datasets.banks.warm_up import WarmUp
from keras_drift.datasets.grouped.grouped_dataset import GroupedDataset

# The items that Keras reads before an epoch: two for the shapes of a batch.
_NUM_PEEKED = 2


class BankedDataset(keras.utils.PyDataset):
    """Batches of groups from a stream, by way of memory banks.

    A drift compares many samples of one class with each other, and a stream of
    shuffled data gives few of each class at a time. Here every step reads
    `push_per_step` samples from the stream into one bank of the newest samples
    of each class and one of the newest samples of all classes. The classes of a
    batch are drawn from those that have just arrived, its positives from their
    banks. Choose it for data that can only be read in order; where they can be
    indexed, `GroupedDataset` draws from all of them, without banks.

    Batches are drawn ahead, on a thread, which ends with `fit`, when nothing is
    read for ten seconds, and when the data set is dropped. An error on it is
    raised where the next batch is read.

    Before the first batch, the banks are filled until every class has `warm_up`
    samples.

    `DriftModel.training_state` includes `get_state`. At the end of an epoch
    that is all of the data: a run that is stopped there and restored gets the
    same batches as one that was not, those drawn ahead included, if the stream
    is a list, a `keras.utils.PyDataset`, or has `get_state` and `set_state`, as
    the iterators of grain do. Leave the `steps_per_epoch` of `fit` out, because
    TensorFlow reads beyond the end of such an epoch.

    Args:
        stream: an iterable of batches `(samples, labels)`: float arrays `(n,
            *sample_shape)` and int arrays `(n,)`, of any `n`. An iterator must
            have no end; any other iterable is read again from its start.
        sample_shape: tuple of ints, the shape of one sample.
        num_classes: int >= 1.
        groups_per_batch: int >= 1, the number of different classes in a batch.
            Where fewer have just arrived, others are drawn. Defaults to all
            classes, at most `64`.
        positives: int >= 1, the number of samples drawn for each group, without
            repetition if its class has enough of them. Defaults to `64`.
        unconditional: int >= 0, the number of samples of any class drawn for
            each group, for guidance. Defaults to `0`.
        push_per_step: int >= 1, the number of samples read from the stream for
            each batch. Defaults to `64`.
        capacity: int >= `positives`, the number of samples kept of each class.
            Defaults to `128`.
        unconditional_capacity: int >= `unconditional`, the number of samples
            kept of all classes. Defaults to `1000`.
        warm_up: int >= 0, the number of samples that every class has before the
            first batch. `0` does not wait for classes that are late. Defaults
            to `positives`.
        steps_per_epoch: int >= 1, batches in an epoch. Defaults to `1000`.
        prefetch: int >= 1, batches drawn ahead. Defaults to `2`.
        dtype: floating-point type of the samples in the banks; `"float16"`
            halves their memory. Defaults to `"float32"`.
        seed: int >= 0, for the draws. Defaults to `0`.
        verbose: bool, whether to print a line about the warm-up. Defaults to
            `True`.

    Attributes:
        seconds_waited: float, how long the reader has waited for batches so
            far, the warm-up included.

    Returns:
        An item is `(x, labels)`: `x` is a float32 array `(groups, positives,
        ...)`, or if `unconditional` is positive a dict of it as `"positives"`
        and an array `(groups, unconditional, ...)` as `"unconditional"`;
        `labels` is an int32 array `(groups,)` without repetition. Batches come
        in the order of the stream: item `i` is the next one, whatever `i`. The
        first two items alone can be looked at before an epoch.

    Raises:
        ValueError: if the stream ends, a class never arrives, or samples and
            labels do not fit the arguments.

    Example:

    >>> from keras_drift import datasets
    >>> rng = np.random.default_rng(0)
    >>> def stream():
    ...     while True:
    ...         yield rng.normal(size=(16, 2)), rng.integers(10, size=16)
    >>> batches = datasets.BankedDataset(
    ...     stream(), sample_shape=(2,), num_classes=10, groups_per_batch=5,
    ...     positives=8, unconditional=4, verbose=False,
    ... )
    >>> x, labels = batches[0]
    >>> x["positives"].shape, x["unconditional"].shape, labels.shape
    ((5, 8, 2), (5, 4, 2), (5,))

    Reference:

    - [Deng et al., 2026](https://arxiv.org/abs/2602.04770), appendix A.8
    """

    group_axis = 0
    sample_axis = 1
    has_equal_batches = True
    placement = GroupedDataset.placement  # the same rule

    def __init__(
        self,
        stream,
        sample_shape,
        num_classes,
        groups_per_batch=None,
        positives=64,
        unconditional=0,
        push_per_step=64,
        capacity=128,
        unconditional_capacity=1000,
        warm_up=None,
        steps_per_epoch=1000,
        prefetch=2,
        dtype="float32",
        seed=0,
        verbose=True,
    ):
        super().__init__()
        self.num_classes = checks.positive_integer("num_classes", num_classes)
        self.groups_per_batch = _checked_groups(groups_per_batch, num_classes)
        self.positives = checks.positive_integer("positives", positives)
        self.unconditional = checks.non_negative_integer(
            "unconditional", unconditional
        )
        self.push_per_step = checks.positive_integer(
            "push_per_step", push_per_step
        )
        self.steps_per_epoch = checks.positive_integer(
            "steps_per_epoch", steps_per_epoch
        )
        checks.boolean("verbose", verbose)
        seed = checks.non_negative_integer("seed", seed)
        seeds = np.random.SeedSequence(seed).generate_state(3)
        self._bank = MemoryBank(
            sample_shape, num_classes, capacity, dtype, int(seeds[0])
        )
        self.sample_shape = self._bank.sample_shape
        _check_capacity("capacity", capacity, "positives", positives)
        self._bank_of_all = self._made_bank_of_all(
            unconditional_capacity, dtype, int(seeds[1])
        )
        warm_up = self.positives if warm_up is None else warm_up
        _check_capacity("capacity", capacity, "warm_up", warm_up)
        self._warm_up = WarmUp(
            checks.non_negative_integer("warm_up", warm_up),
            self.groups_per_batch,
            self.unconditional,
            verbose,
        )
        self._rng = np.random.default_rng(int(seeds[2]))
        self._stream = SampleStream(stream, self.sample_shape, self.num_classes)
        prefetch = checks.positive_integer("prefetch", prefetch)
        name = "keras_drift.BankedDataset"
        self._ahead = DrawAhead(self._advance, prefetch, name)
        # Batches that were looked at before an epoch, by their index.
        self._peeked = {}
        self._within_epoch = False
        self._following = None

    def _made_bank_of_all(self, capacity, dtype, seed):
        """The bank of unconditional samples, if there are any."""
        if not self.unconditional:
            return None
        # One class, so that every group is drawn without repetition.
        bank = MemoryBank(self.sample_shape, 1, capacity, dtype, seed)
        _check_capacity(
            "unconditional_capacity",
            capacity,
            "unconditional",
            self.unconditional,
        )
        return bank

    def __len__(self):
        return self.steps_per_epoch

    @property
    def seconds_waited(self):
        """How long the reader has waited for batches so far."""
        return self._ahead.seconds_waited

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(
                f"An epoch has {len(self)} batches, counted from 0. "
                f"Received: index={index}"
            )
        if self._following is not None and index < self._following < len(self):
            # The epoch that these reads belonged to was interrupted.
            self._within_epoch = False
        if self._within_epoch:
            self._following = index + 1
            batch = self._peeked.pop(index, None)
            if batch is None:
                self._peeked.clear()
                batch = self._ahead.get()
            return batch
        self._following = None
        if index in self._peeked:
            return self._peeked[index]
        batch = self._ahead.get()
        if index == len(self._peeked) < _NUM_PEEKED:
            self._peeked[index] = batch
        else:
            # Somebody reads one batch after the other.
            self._peeked.clear()
        return batch

    def __iter__(self):
        """Iterates over the batches of one epoch."""
        self.on_epoch_begin()
        for index in range(len(self)):
            yield self[index]
        self.on_epoch_end()

    def on_epoch_begin(self):
        """What is read from now on is trained on. Called by Keras."""
        self._within_epoch = True
        self._following = None

    def on_epoch_end(self):
        """What is read from now on is looked at only. Called by Keras."""
        self._within_epoch = False
        self._following = None

    def stop_drawing_ahead(self):
        """Ends the thread, until the next batch is read. Called by `fit`."""
        self._ahead.stop()

    def fixed(self, epoch=0):
        """Refuses validation, which needs the same batches in every epoch."""
        raise ValueError(
            "A stream cannot give the same batches again, as evaluation needs: "
            "early stopping would follow the noise of other samples. Validate "
            "on arrays, or on a `GroupedDataset`. Received: a `BankedDataset` "
            "for evaluation"
        )

    def get_state(self):
        """Banks, position in the stream, random state, batches drawn ahead.

        Returns:
            A dict of what JSON can hold, of NumPy arrays, and of the state of
            the stream, `None` if it has none.
        """
        with self._ahead.lock:
            drawn = [self._peeked[i] for i in sorted(self._peeked)]
            drawn += self._ahead.items()
            bank_of_all = None
            if self._bank_of_all is not None:
                bank_of_all = self._bank_of_all.get_state()
            return {
                "random": self._rng.bit_generator.state,
                "num_arrived": self._warm_up.num_arrived,
                "is_warm": self._warm_up.is_over,
                "bank": self._bank.get_state(),
                "bank_of_all": bank_of_all,
                "stream": self._stream.get_state(),
                "drawn": _stacked(drawn),
            }

    def set_state(self, state):
        """Goes on where `get_state` was called.

        Args:
            state: dict that `get_state` returned, of a data set that was made
                with the same arguments, and with a stream that was, too.
        """
        keys = ("random", "is_warm", "num_arrived", "bank", "bank_of_all")
        keys += ("stream", "drawn")
        if not isinstance(state, dict) or set(state) != set(keys):
            raise ValueError(
                "The state of a `BankedDataset` is the dict that its "
                f"`get_state` returned, with {', '.join(keys)}. Received: "
                f"state of type {type(state).__name__}"
            )
        drawn = self._checked_drawn(state)
        with self._ahead.lock:
            self._bank.set_state(state["bank"])
            if self._bank_of_all is not None:
                self._bank_of_all.set_state(state["bank_of_all"])
            self._stream.set_state(state["stream"])
            self._rng.bit_generator.state = state["random"]
            self._warm_up.num_arrived = int(state["num_arrived"])
            self._warm_up.is_over = bool(state["is_warm"])
            self._peeked = {}
            self._ahead.replace(drawn)

    def _checked_drawn(self, state):
        """The batches of a state, of the shapes that these arguments give."""
        groups, shape = self.groups_per_batch, self.sample_shape
        expected = {
            "labels": (groups,),
            "positives": (groups, self.positives, *shape),
        }
        if self.unconditional:
            expected["unconditional"] = (groups, self.unconditional, *shape)
        received = {k: np.shape(v)[1:] for k, v in state["drawn"].items()}
        fits = not received or received == expected
        if not fits or (state["bank_of_all"] is None) == bool(
            self.unconditional
        ):
            raise ValueError(
                "This state is that of a `BankedDataset` made with other "
                f"arguments: here a batch has the shapes {expected}. Received: "
                f"{received or 'no unconditional samples, or such samples'}"
            )
        return _unstacked(state["drawn"])

    def _advance(self):
        """Reads one portion of the stream; the next batch, if there is one."""
        samples, labels = self._stream.take(self.push_per_step)
        self._bank.add(samples, labels)
        if self._bank_of_all is not None:
            self._bank_of_all.add(samples, np.zeros_like(labels))
        if not self._warm_up.ends_with(self._bank.counts, len(labels)):
            return None
        return self._drawn(self._classes(labels))

    def _classes(self, arrived):
        """Different classes, of those that have just arrived where possible."""
        arrived = self._rng.permutation(arrived)
        _, first = np.unique(arrived, return_index=True)
        classes = arrived[np.sort(first)][: self.groups_per_batch]
        missing = self.groups_per_batch - len(classes)
        if missing:
            others = np.setdiff1d(np.flatnonzero(self._bank.counts), classes)
            others = self._rng.permutation(others)[:missing]
            classes = np.concatenate([classes, others])
        return classes

    def _drawn(self, classes):
        x = self._bank.sample(self.positives, classes)
        x = x.astype("float32", copy=False)
        if self._bank_of_all is not None:
            unconditional = self._bank_of_all.sample(
                self.unconditional, np.zeros_like(classes)
            )
            x = {
                "positives": x,
                "unconditional": unconditional.astype("float32", copy=False),
            }
        return x, classes.astype("int32")


def _checked_groups(groups_per_batch, num_classes):
    if groups_per_batch is None:
        return min(num_classes, 64)
    groups = checks.positive_integer("groups_per_batch", groups_per_batch)
    if groups > num_classes:
        raise ValueError(
            "The groups of a batch are different classes. Take fewer groups "
            f"and more `positives`. Received: groups_per_batch={groups}, "
            f"num_classes={num_classes}"
        )
    return groups


def _check_capacity(name, capacity, drawn_name, drawn):
    if capacity < drawn:
        raise ValueError(
            f"`{name}` is the number of samples that a bank keeps, so it must "
            f"be at least `{drawn_name}`. Received: {name}={capacity}, "
            f"{drawn_name}={drawn}"
        )


def _stacked(batches):
    """A dict of arrays of all batches; an empty one of none."""
    if not batches:
        return {}
    x, labels = zip(*batches, strict=True)
    parts = x if isinstance(x[0], dict) else [{"positives": one} for one in x]
    stacked = {name: np.stack([p[name] for p in parts]) for name in parts[0]}
    return {**stacked, "labels": np.stack(labels)}


def _unstacked(stacked):
    """The batches of a dict that `_stacked` made."""
    stacked = {name: np.array(value) for name, value in stacked.items()}
    labels = stacked.pop("labels", ())
    batches = []
    for i, label in enumerate(labels):
        x = {name: value[i] for name, value in stacked.items()}
        batches.append((x if len(x) > 1 else x["positives"], label))
    return batches
