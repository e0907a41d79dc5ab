import numpy as np
import pytest

import user_line
from keras_drift.datasets import ArrayDataset
from keras_drift.datasets.arrays.seeded_dataset import SeededDataset


class Numbers(SeededDataset):
    """Items that are what a batch may depend on."""

    def __len__(self):
        return 3

    def _batch(self, index):
        return self.seed, self.epoch, index


def test_items_depend_on_seed_epoch_and_index():
    dataset = Numbers(seed=5)
    assert list(dataset) == [(5, 0, 0), (5, 0, 1), (5, 0, 2)]
    dataset.on_epoch_end()
    assert dataset[1] == (5, 1, 1)


def test_a_fixed_view_stays_where_it_is():
    dataset = Numbers(seed=5, workers=3)
    dataset.epoch = 7
    fixed, other = dataset.fixed(), dataset.fixed(epoch=4)
    for each in (fixed, other, dataset):
        each.on_epoch_end()
    assert (fixed.epoch, other.epoch, dataset.epoch) == (0, 4, 8)
    assert fixed.fixed(2)[0] == (5, 2, 0)
    assert fixed.workers == 3
    assert type(fixed) is Numbers
    with pytest.raises(ValueError, match="epoch=-1"):
        dataset.fixed(-1)


def test_state_is_plain_data():
    dataset = Numbers(seed=np.int64(3))
    dataset.epoch = np.int64(2)  # as of a counter of the user
    state = dataset.get_state()
    assert {**state, "checksum": None} == {
        "seed": 3,
        "epoch": 2,
        "checksum": None,
    }
    assert [type(value) for value in state.values()] == [int, int, str]
    again = Numbers(seed=0)
    again.set_state(state)
    assert again[0] == dataset[0]


def test_warns_about_the_state_of_other_data(recwarn):
    samples = np.arange(40.0).reshape(20, 2)

    def make(samples=samples, seed=3, **options):
        return ArrayDataset(samples, seed=seed, **options)

    state = make(batch_size=8).get_state()
    make(batch_size=8, seed=0).set_state(state)
    old = {"seed": 3, "epoch": 1}
    make(batch_size=4).set_state(old)  # of a version without checksums
    assert not recwarn.list
    others = [
        make(samples + 1.0, batch_size=8),
        make(samples[:-1], batch_size=8),
        make(batch_size=4),
        make(batch_size=8, shuffle=False),
        make(batch_size=8, weights=np.ones(20)),
    ]
    for other in others:
        with user_line.warns("not the data of the checkpoint"):
            other.set_state(state)
        assert (other.seed, other.epoch) == (3, 0)


def test_says_what_a_subclass_must_write():
    class Empty(Numbers):
        _batch = SeededDataset._batch

    with pytest.raises(NotImplementedError, match=r"Empty.*_batch\(index\)"):
        Empty(seed=0)[0]


@pytest.mark.parametrize("index", [-1, 3])
def test_names_an_index_outside_the_epoch(index):
    with pytest.raises(IndexError, match=rf"3 batches.*index={index}"):
        Numbers(seed=0)[index]


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        (3, ValueError, "get_state.*state=3"),
        ({"seed": 1}, ValueError, r"state=\{'seed': 1\}"),
        ({"seed": 1, "epoch": -1}, ValueError, "epoch=-1"),
        ({"seed": 1.5, "epoch": 1}, TypeError, "seed=1.5"),
    ],
)
def test_names_a_state_of_something_else(state, error, message):
    dataset = Numbers(seed=0)
    with pytest.raises(error, match=message):
        dataset.set_state(state)
    assert (dataset.seed, dataset.epoch) == (0, 0)
