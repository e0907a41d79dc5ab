import numpy as np
import pytest

from keras_drift import DriftModel
from keras_drift import datasets
from keras_drift import generators
from keras_drift.training.continued_dataset import ContinuedDataset
from keras_drift.training.stepped_dataset import SteppedDataset

DATA = np.arange(12.0, dtype="float32")[:, None]


def in_fours(**options):
    return datasets.ArrayDataset(DATA, batch_size=4, seed=3, **options)


def epoch_of(data):
    """The samples of an epoch, in their order; advances to the next one."""
    found = np.concatenate([data[i] for i in range(len(data))])
    data.on_epoch_end()
    return found


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_epochs_are_pieces_of_passes_over_the_data(steps):
    data, passes = in_fours(), in_fours()
    epochs = ContinuedDataset(data, steps)
    expected = np.concatenate([epoch_of(passes) for _ in range(steps)])
    found = np.concatenate([epoch_of(epochs) for _ in range(3)])
    np.testing.assert_array_equal(found, expected)
    assert data.epoch == steps  # as many passes are over


def test_a_position_is_that_of_its_epoch():
    straight = ContinuedDataset(in_fours(), 2)
    for _ in range(3):
        expected = epoch_of(straight)
    resumed = ContinuedDataset(in_fours(), 2)
    epoch_of(ContinuedDataset(in_fours(), 2))
    state = {**straight.get_state(), "epoch": 2}
    resumed.set_state(state)
    np.testing.assert_array_equal(epoch_of(resumed), expected)


def test_the_seed_of_a_state_is_given_to_the_data():
    other = datasets.ArrayDataset(DATA, batch_size=4, seed=4)
    state = ContinuedDataset(in_fours(), 2).get_state()
    resumed = ContinuedDataset(other, 2)
    resumed.set_state(state)
    assert other.seed == 3
    np.testing.assert_array_equal(resumed[1], in_fours()[1])


def test_the_seed_of_a_state_is_that_of_batches_read_before():
    other = datasets.ArrayDataset(DATA, batch_size=4, seed=4)
    resumed = ContinuedDataset(other, 2)
    assert not np.array_equal(resumed[0], in_fours()[0])
    resumed.set_state(ContinuedDataset(in_fours(), 2).get_state())
    np.testing.assert_array_equal(resumed[0], in_fours()[0])


def test_workers_are_those_of_the_data():
    assert ContinuedDataset(in_fours(workers=3), 2).workers == 3


def fitted(model, data, **options):
    model.fit(data, steps_per_epoch=2, verbose=0, **options)
    return model.run.data


def test_fit_goes_on_after_the_samples_it_has_shown():
    model = DriftModel(generators.MLP(1, hidden_dims=(4,)), seed=0)
    model.compile("sgd")
    data = in_fours()
    first = fitted(model, data)
    assert (first.epoch, data.epoch) == (1, 1)
    # An epoch of two batches, of three in a pass: the second is in the next.
    assert fitted(model, data, epochs=2, initial_epoch=1) is first
    assert (first.epoch, data.epoch) == (2, 2)
    model.fit(data, verbose=0)  # a whole pass
    other = fitted(model, data)
    assert other is not first
    assert data.epoch > 3


@pytest.mark.parametrize("wrapper", [SteppedDataset, ContinuedDataset])
def test_a_share_is_known_as_one(wrapper):
    labels = np.arange(12) % 2

    def grouped(share=(0, 1)):
        data = datasets.GroupedDataset(
            DATA, labels, groups_per_batch=2, positives=3, seed=3, share=share
        )
        return wrapper(data, 4)

    whole = grouped()
    shares = [grouped((i, 2)) for i in range(2)]
    assert [each.share for each in shares] == [(0, 2), (1, 2)]
    assert {each.num_classes for each in shares} == {2}
    # Any number of processes may go on with the run.
    assert {each.checksum() for each in shares} == {whole.checksum()}
    assert len(shares[0][0][1]) == 1
    shares[1].set_state(whole.get_state())


@pytest.mark.parametrize("steps", [3, 4, 6, 7])
def test_no_epoch_of_several_passes_repeats_one(steps):
    epochs = SteppedDataset(in_fours(), steps)
    passes = []
    for _ in range(3):
        samples = epoch_of(epochs).ravel()
        passes += [
            tuple(p) for p in np.split(samples, range(12, len(samples), 12))
        ]
    # A pass that an epoch has cut short is the beginning of one.
    for i, one in enumerate(passes):
        for other in passes[i + 1 :]:
            size = min(len(one), len(other))
            assert one[:size] != other[:size]
