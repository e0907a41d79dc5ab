import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from contracts import numpy
from keras_drift.datasets import ArrayDataset

# Compilation aside, an example takes a millisecond.
fast = settings(deadline=None, max_examples=50, database=None)
sizes = {"n": st.integers(1, 40), "batch_size": st.integers(1, 50)}


def numbered(n):
    """Samples that hold their own index."""
    return np.arange(n, dtype="float32")[:, None]


def indices(dataset):
    """The index of every sample of an epoch: one list for each batch."""
    return [x[:, 0].astype(int).tolist() for (x,) in dataset]


@fast
@given(**sizes, shuffle=st.booleans(), epoch=st.integers(0, 3))
def test_full_batches_show_every_sample_and_none_twice(
    n, batch_size, shuffle, epoch
):
    dataset = ArrayDataset(numbered(n), None, batch_size, shuffle)
    dataset.epoch = epoch
    batches = indices(dataset)
    assert len(batches) == len(dataset) == -(-n // batch_size)
    for batch in batches:
        assert len(batch) == dataset.batch_size == min(n, batch_size)
        assert len(set(batch)) == len(batch)
    assert {index for batch in batches for index in batch} == set(range(n))


@fast
@given(**sizes, seed=st.integers(0, 9), epochs=st.integers(0, 3))
def test_state_restores_the_batches(n, batch_size, seed, epochs):
    first = ArrayDataset(numbered(n), None, batch_size, seed=seed)
    for _ in range(epochs):
        first.on_epoch_end()
    second = ArrayDataset(numbered(n), None, batch_size, seed=seed + 1)
    second[0]  # what was read before is forgotten
    second.set_state(json.loads(json.dumps(first.get_state())))
    for _ in range(2):
        assert indices(second) == indices(first)
        for dataset in (first, second):
            dataset.on_epoch_end()


def test_windows_without_shuffling_are_in_order_and_evenly_spaced():
    def starts(n):
        dataset = ArrayDataset(numbered(n), batch_size=4, shuffle=False)
        batches = indices(dataset)
        for batch in batches:
            assert batch == list(range(batch[0], batch[0] + len(batch)))
        return [batch[0] for batch in batches]

    assert starts(5) == [0, 1]
    assert starts(9) == [0, 2, 5]
    assert starts(12) == [0, 4, 8]
    assert starts(3) == [0]


def test_the_last_batch_is_completed_from_the_beginning_of_the_order():
    first, second = indices(ArrayDataset(numbered(6), batch_size=4))
    assert second[2:] == first[:2]


def test_epochs_and_seeds_change_the_order():
    dataset = ArrayDataset(numbered(40), batch_size=40)
    orders = []
    for seed in (0, 1):
        for epoch in (0, 1):
            dataset.set_state({"seed": seed, "epoch": epoch})
            orders.append(tuple(indices(dataset)[0]))
    assert len(set(orders)) == 4
    assert all(sorted(order) == list(range(40)) for order in orders)


@pytest.mark.parametrize("shuffle", [True, False])
def test_every_sample_is_shown_about_equally_often(shuffle):
    dataset = ArrayDataset(numbered(10), batch_size=4, shuffle=shuffle)
    counts = np.zeros(10)
    for _ in range(1000):
        for batch in indices(dataset):
            counts[batch] += 1
        dataset.on_epoch_end()
    if shuffle:  # 1200 each, with a standard deviation of 13
        np.testing.assert_allclose(counts, 1200, atol=65)
    else:
        assert np.all(np.isin(counts, [1000, 2000]))


def test_fixed_batches_never_change():
    dataset = ArrayDataset(numbered(20), batch_size=8)
    dataset.epoch = 5
    fixed = dataset.fixed()
    before, training = indices(fixed), indices(dataset)
    fixed.on_epoch_end()
    assert indices(fixed) == before
    assert indices(dataset) == training
    dataset.on_epoch_end()
    assert dataset.epoch == 6
    assert fixed.epoch == 0
    assert indices(fixed) == before
    assert indices(dataset) != training
    assert indices(dataset.fixed(5)) == training


def test_threads_and_processes_change_nothing():
    dataset = ArrayDataset(numbered(50), batch_size=8)
    expected = indices(dataset)
    fresh = pickle.loads(pickle.dumps(dataset))
    with ThreadPoolExecutor(4) as pool:
        items = list(pool.map(fresh.__getitem__, reversed(range(7))))
    drawn = [x[:, 0].astype(int).tolist() for (x,) in reversed(items)]
    assert drawn == expected


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
def test_keras_reads_it(workers, weighted):
    class Probe(keras.Model):
        def __init__(self):
            super().__init__()
            self.scale = self.add_weight(shape=())
            self.built = True

        def call(self, inputs):
            return inputs

        def compute_loss(self, x=None, *args, **kwargs):
            if weighted:
                x = x["positives"] * x["weights"][:, None]
            return self.scale * keras.ops.sum(x)

    weights = np.arange(10) if weighted else None
    dataset = ArrayDataset(numbered(10), weights, 4, workers=workers)
    expected = 0.0
    for dataset.epoch in (1, 2):  # Keras advances it once as `fit` starts
        for (x,) in dataset:
            each = x["positives"][:, 0] ** 2 if weighted else x
            expected -= np.sum(each)
    dataset.epoch = 0
    model = Probe()
    model.scale.assign(0.0)
    # Plain gradient descent adds up the gradients, the sums of the batches.
    model.compile(keras.optimizers.SGD(1.0))
    model.fit(dataset, epochs=2, verbose=0, shuffle=False)
    assert numpy(model.scale) == expected
    assert dataset.epoch == 3


def test_weights_go_with_their_samples():
    dataset = ArrayDataset(numbered(10), np.arange(10) * 2, batch_size=4)
    for (x,) in dataset:
        np.testing.assert_array_equal(x["weights"], 2 * x["positives"][:, 0])
        assert x["weights"].dtype == x["positives"].dtype == "float32"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_any_float_becomes_single_precision(dtype, shuffle):
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    samples = numbered(10).astype(dtype)
    for (x,) in ArrayDataset(samples, batch_size=4, shuffle=shuffle):
        assert x.dtype == "float32"
    tensor = keras.ops.convert_to_tensor(numbered(10))
    assert ArrayDataset(tensor)[0][0].dtype == "float32"


@pytest.mark.parametrize("shuffle", [True, False])
def test_batches_belong_to_the_caller(shuffle):
    samples = numbered(10)
    dataset = ArrayDataset(samples, batch_size=10, shuffle=shuffle)
    (x,) = dataset[0]
    x[:] = -1
    np.testing.assert_array_equal(samples, numbered(10))
    assert sorted(dataset[0][0][:, 0]) == list(range(10))


def test_reads_from_disk_only_what_is_needed(tmp_path):
    file = np.memmap(tmp_path / "data", "float32", "w+", shape=(50_000, 2))
    file[40_000] = np.nan  # beyond what is checked
    (x,) = ArrayDataset(file, shuffle=False)[0]
    assert type(x) is np.ndarray
    assert x.shape == (256, 2)


def test_says_which_axis_is_which():
    dataset = ArrayDataset(np.zeros((10, 3, 4, 1)), batch_size=8)
    assert dataset.sample_shape == (3, 4, 1)
    assert dataset.group_axis is None
    assert dataset[0][0].shape[dataset.sample_axis] == 8
    assert dataset.placement == "samples"


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"samples": np.zeros(3)}, ValueError, r"samples\[:, None\]"),
        ({"samples": np.zeros((3, 2), int)}, ValueError, "dtype=int64"),
        ({"samples": [[np.nan]]}, ValueError, r"samples\[0\]"),
        ({"batch_size": 0}, ValueError, "batch_size=0"),
        ({"batch_size": 2.5}, TypeError, "batch_size=2.5"),
        ({"seed": -1}, ValueError, "seed=-1"),
        ({"seed": None}, TypeError, "seed=None"),
        ({"weights": np.ones(3)}, ValueError, r"`\(2,\)`.*shape=\(3,\)"),
        ({"weights": ["a", "b"]}, ValueError, "numbers.*dtype=<U1"),
        ({"weights": [1, -1]}, ValueError, r"weights\[1\]=-1"),
        ({"weights": [np.inf, 1]}, ValueError, r"weights\[0\]=inf"),
        ({"weights": [0.0, 0.0]}, ValueError, "all zero"),
    ],
)
def test_names_an_argument_that_cannot_be(kwargs, error, message):
    with pytest.raises(error, match=message):
        ArrayDataset(**{"samples": np.zeros((2, 1)), **kwargs})
