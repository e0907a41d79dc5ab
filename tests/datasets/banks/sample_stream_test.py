import collections
import itertools

import keras
import numpy as np
import pytest

import user_line
from keras_drift.datasets.banks.sample_stream import SampleStream


def batch(first, size):
    numbers = np.arange(first, first + size)
    return np.stack([numbers, -numbers], axis=1).astype("float32"), numbers % 3


BATCHES = [batch(0, 5), batch(5, 1), batch(6, 0), batch(6, 4)]  # 10 samples


class Pass(keras.utils.PyDataset):
    """Ten samples, and another ten in the next epoch, in five batches."""

    def __init__(self):
        super().__init__()
        self.epoch = 0

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return batch(10 * self.epoch + 2 * index, 2)

    def on_epoch_end(self):
        self.epoch += 1

    def get_state(self):
        return {"epoch": self.epoch}

    def set_state(self, state):
        self.epoch = state["epoch"]


class Positioned:
    """An iterator that knows where it is, as those of grain do."""

    def __init__(self):
        self.number = 0

    def __iter__(self):
        return self

    def __next__(self):
        self.number += 3
        return batch(self.number - 3, 3)

    def get_state(self):
        return {"number": self.number}

    def set_state(self, state):
        self.number = state["number"]


class Iterated:
    """An iterable whose iterators know where they are."""

    def __iter__(self):
        return Positioned()


class Passes:
    """An iterable without a state."""

    def __iter__(self):
        return iter(BATCHES)


def numbers(taken):
    samples, labels = taken
    assert samples.dtype == "float32"
    np.testing.assert_array_equal(samples[:, 1], -samples[:, 0])
    np.testing.assert_array_equal(labels, samples[:, 0].astype(int) % 3)
    return samples[:, 0].astype(int).tolist()


@pytest.mark.parametrize("count", [1, 3, 7, 24])
@pytest.mark.parametrize("stream", [BATCHES, Passes(), Pass, Positioned])
def test_every_sample_comes_once_in_order(stream, count):
    repeats = not callable(stream)
    stream = SampleStream(stream if repeats else stream(), (2,), 3)
    taken = [i for _ in range(9) for i in numbers(stream.take(count))]
    expected = [i % 10 if repeats else i for i in range(9 * count)]
    assert taken == expected


@pytest.mark.parametrize("make", [lambda: BATCHES, Pass, Positioned, Iterated])
@pytest.mark.parametrize("taken", [0, 1, 3, 10])
def test_state_restores_the_position(make, taken):
    first = SampleStream(make(), (2,), 3)
    for _ in range(taken):
        first.take(3)
    state = first.get_state()
    expected = [numbers(first.take(4)) for _ in range(6)]
    other = SampleStream(make(), (2,), 3)
    other.take(5)
    for stream in (other, first):
        stream.set_state(state)
        assert [numbers(stream.take(4)) for _ in range(6)] == expected


def test_an_iterator_restored_at_its_end_starts_again():
    class Once(Positioned):
        def __next__(self):
            if self.number == 6:
                raise StopIteration
            return super().__next__()

    class Twice:
        def __iter__(self):
            return Once()

    stream = SampleStream(Twice(), (2,), 3)
    stream.take(6)
    state = stream.get_state()
    other = SampleStream(Twice(), (2,), 3)
    other.set_state(state)
    assert numbers(other.take(3)) == [0, 1, 2]


def test_warns_of_a_stream_without_a_position():
    stream = SampleStream(itertools.repeat(BATCHES[0]), (2,), 3)
    stream.take(3)
    state = stream.get_state()
    assert numbers(stream.take(2)) == [3, 4]
    with user_line.warns("cannot tell its position.*repeat"):
        stream.set_state(state)
    # What was read before is there all the same.
    assert numbers(stream.take(3)) == [3, 4, 0]


def test_a_stream_may_use_its_memory_again():
    memory = np.zeros((2, 2), "float32")

    def reused():
        for i in itertools.count():
            memory[:, 0], memory[:, 1] = i, -i
            yield memory, np.full(2, i % 3)

    stream = SampleStream(reused(), (2,), 3)
    first, second = stream.take(3), stream.take(3)
    assert [numbers(first), numbers(second)] == [[0, 0, 1], [1, 2, 2]]


def test_takes_tensors():
    x, y = map(keras.ops.convert_to_tensor, BATCHES[0])
    stream = SampleStream([(x, y)], (2,), 3)
    assert numbers(stream.take(7)) == [0, 1, 2, 3, 4, 0, 1]


@pytest.mark.parametrize(
    ("stream", "match"),
    [
        (iter(BATCHES), "ended after 10 samples.*list_iterator"),
        (iter([]), "ended after 0 samples"),
        ([BATCHES[2]], "without samples.*1000 empty"),
        ([BATCHES[0][0]], "type ndarray"),
        ([(*BATCHES[0], 1)], "tuple with 3 parts"),
        ([{"x": 1}], "dict with 1 parts"),
        ([None], "NoneType"),
        ([(np.zeros((3, 4)), np.zeros(3, int))], r"shape \(3, 4\)"),
        ([(np.zeros((3, 2), "uint8"), np.zeros(3, int))], "127.5"),
        ([(np.zeros((3, 2)), np.zeros(4, int))], r"shape \(4,\)"),
        ([(np.zeros((3, 2)), np.zeros(3))], "float64"),
        ([(np.zeros((3, 2)), np.array([0, 3, 1]))], "label of 3 after 1"),
        ([(np.zeros((3, 2)), np.array([0, -1, 1]))], "label of -1"),
        ([(np.full((3, 2), np.nan), np.zeros(3, int))], "3 such.*first at 0"),
    ],
)
def test_names_what_a_stream_may_not_give(stream, match):
    stream = SampleStream(stream, (2,), 3)
    with pytest.raises(ValueError, match=match):
        collections.deque((stream.take(4) for _ in range(20)), maxlen=0)


@pytest.mark.parametrize(
    ("stream", "error", "match"),
    [
        (lambda: iter(BATCHES), TypeError, "call it"),
        (np.zeros((3, 2)), TypeError, "GroupedDataset.*ndarray"),
        (3, TypeError, "type int"),
        ("folder", TypeError, "type str"),
        ([], ValueError, "empty list"),
    ],
)
def test_names_what_is_no_stream(stream, error, match):
    with pytest.raises(error, match=match):
        SampleStream(stream, (2,), 3)
