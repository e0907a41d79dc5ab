import collections
import copy
import json
import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from keras import ops

from keras_drift.datasets import MemoryBank
from keras_drift.datasets.arrays import sample_arrays
from keras_drift.datasets.banks import memory_bank

SHAPE = (2, 3)


def numbered(start, stop):
    """Samples that hold their own number everywhere."""
    numbers = np.arange(start, stop, dtype="float32")
    return np.broadcast_to(numbers[:, None, None], (len(numbers), *SHAPE))


def held(bank, label):
    """The numbers of the samples of one class, each once."""
    drawn = bank.sample(int(bank.counts[label]), [label])[0]
    assert np.all(drawn == drawn[:, :1, :1])
    return sorted(drawn[:, 0, 0].tolist())


def test_holds_the_newest_of_every_class():
    """Against rings written naively, as deques."""
    rng = np.random.default_rng(0)
    bank = MemoryBank(SHAPE, num_classes=5, capacity=4)
    rings = collections.defaultdict(lambda: collections.deque(maxlen=4))
    start = 0
    for size in (1, 3, 0, 7, 40, 2, 11):  # 40: more than all rings hold
        labels = rng.integers(0, 4, size=size)  # never class 4
        bank.add(numbered(start, start + size), labels)
        for number, label in enumerate(labels, start=start):
            rings[int(label)].append(float(number))
        start += size
        for label in range(5):
            assert bank.counts[label] == len(rings[label])
            if rings[label]:
                assert held(bank, label) == sorted(rings[label])
    assert len(bank) == sum(map(len, rings.values()))


def test_one_ring_without_classes():
    bank = MemoryBank(SHAPE, capacity=5)
    bank.add(numbered(0, 3))
    bank.add(numbered(3, 7))
    drawn = bank.sample(5)
    assert drawn.shape == (5, *SHAPE)
    assert drawn.dtype == "float32"
    assert sorted(drawn[:, 0, 0].tolist()) == [2.0, 3.0, 4.0, 5.0, 6.0]


def test_draws_without_repetition_and_uniformly():
    bank = MemoryBank((1,), num_classes=2, capacity=8)
    bank.add(np.arange(16.0)[:, None], np.repeat([0, 1], 8))
    drawn = np.stack([bank.sample(3, [1, 1])[..., 0] for _ in range(1000)])
    drawn = drawn.reshape(-1, 3)
    assert all(len(set(row)) == 3 for row in drawn.tolist())
    values, counts = np.unique(drawn, return_counts=True)
    np.testing.assert_array_equal(values, np.arange(8.0, 16.0))
    # 750 each are expected, with a standard deviation of 22.
    np.testing.assert_allclose(counts, 750, atol=120)


def test_repeats_where_a_class_has_too_few():
    bank = MemoryBank(SHAPE, num_classes=2)
    bank.add(numbered(0, 2), [1, 1])
    assert set(bank.sample(6, [1])[0, :, 0, 0]) <= {0.0, 1.0}


def test_draws_are_its_own():
    bank = MemoryBank(SHAPE)
    bank.add(numbered(0, 3))
    bank.sample(3)[:] = -1
    assert sorted(bank.sample(3)[:, 0, 0].tolist()) == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    "keep",
    [lambda drawn: drawn, lambda drawn: drawn[1:, 0], ops.convert_to_tensor],
    ids=["array", "view", "tensor"],
)
def test_draws_that_somebody_holds_are_left_alone(keep):
    bank = MemoryBank((32,), capacity=64)
    bank.add(np.random.default_rng(0).normal(size=(64, 32)))
    held = [keep(bank.sample(32)) for _ in range(8)]
    before = [np.array(ops.convert_to_numpy(each)) for each in held]
    assert len({values.tobytes() for values in before}) == 8
    for _ in range(8):
        bank.sample(32)
    for each, values in zip(held, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(each), values)


def test_draws_that_nobody_holds_lend_their_memory():
    bank = MemoryBank(SHAPE)
    bank.add(numbered(0, 8))
    addresses = {bank.sample(8).ctypes.data for _ in range(8)}
    assert len(addresses) == 1


@pytest.mark.usefixtures("eager_threads")
def test_threads_lose_no_sample(monkeypatch):
    def slow(counts):  # the moment between reading and writing the counts
        time.sleep(1e-3)
        return sample_arrays.read_only(counts)

    bank = MemoryBank((1,), num_classes=2, capacity=40)
    monkeypatch.setattr(memory_bank, "read_only", slow)

    def write(k):
        for i in range(k, 80, 4):
            bank.add(np.full((1, 1), i, "float32"), [i % 2])

    def read(_):
        states = [bank.get_state() for _ in range(20)]
        return all(len(s["rows"]) == s["counts"].sum() for s in states)

    with ThreadPoolExecutor(5) as pool:
        writers = [pool.submit(write, k) for k in range(4)]
        assert pool.submit(read, 0).result()
        for writer in writers:
            writer.result()
    assert bank.counts.tolist() == [40, 40]
    rows = bank.get_state()["rows"]
    assert sorted(rows[:, 0].tolist()) == list(range(80))


def test_counts_cannot_be_changed_by_others():
    bank = MemoryBank(SHAPE)
    before = bank.counts
    for counts in (bank.counts, copy.deepcopy(bank).counts):
        with pytest.raises(ValueError, match="read-only"):
            counts[0] = 7
    bank.add(numbered(0, 2))
    assert before.tolist() == [0]
    assert bank.counts.tolist() == [2]
    with pytest.raises(ValueError, match="read-only"):
        bank.counts[0] = 7


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))],
)
def test_copies_go_on_alike_and_apart(copied):
    bank = MemoryBank(SHAPE, num_classes=2, capacity=8)
    bank.add(numbered(0, 6), [0, 1, 0, 1, 0, 1])
    other = copied(bank)
    np.testing.assert_array_equal(bank.sample(2, [0]), other.sample(2, [0]))
    other.add(numbered(6, 8), [0, 0])
    assert bank.counts.tolist() == [3, 3]
    assert held(other, 0) == [0.0, 2.0, 4.0, 6.0, 7.0]
    assert held(bank, 0) == [0.0, 2.0, 4.0]


@settings(deadline=None, max_examples=30, database=None)
@given(
    sizes=st.lists(st.integers(0, 9), max_size=4),
    capacity=st.integers(1, 6),
    seed=st.integers(0, 3),
)
def test_state_restores_samples_and_draws(sizes, capacity, seed):
    first = MemoryBank((1,), 3, capacity, seed=seed)
    rng = np.random.default_rng(seed)
    for size in sizes:
        first.add(rng.normal(size=(size, 1)), rng.integers(0, 3, size))
    second = MemoryBank((1,), 3, capacity, seed=seed + 1)
    second.add(np.ones((9, 1)), np.arange(9) % 3)  # what is there goes
    state = first.get_state()
    state["random"] = json.loads(json.dumps(state["random"]))
    second.set_state(state)
    for _ in range(2):
        np.testing.assert_array_equal(second.counts, first.counts)
        present = np.flatnonzero(first.counts)
        np.testing.assert_array_equal(
            second.sample(4, present), first.sample(4, present)
        )
        more, labels = rng.normal(size=(4, 1)), rng.integers(0, 3, 4)
        for bank in (first, second):
            bank.add(more, labels)


def test_a_state_is_a_snapshot():
    bank = MemoryBank((1,), capacity=2)
    bank.add(np.ones((2, 1)))
    state = bank.get_state()
    bank.add(np.zeros((2, 1)))
    bank.set_state(state)
    bank.add(np.full((1, 1), 2.0))
    assert sorted(bank.sample(2)[:, 0].tolist()) == [1.0, 2.0]
    assert state["rows"].tolist() == [[1.0], [1.0]]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"num_classes": 2}, r"other arguments.*counts.shape=\(2,\)"),
        ({"capacity": 3}, "up to 4 samples"),
        ({"capacity": 5}, "up to 4 samples"),
        ({"sample_shape": (2,)}, r"rows.shape=\(4, 2\)"),
    ],
)
def test_names_a_state_of_another_bank(arguments, match):
    other = MemoryBank(**{"sample_shape": (1,), "capacity": 4, **arguments})
    labels = None if other.num_classes is None else [0] * 5
    other.add(np.ones((5, *other.sample_shape)), labels)
    bank = MemoryBank((1,), capacity=4)
    with pytest.raises(ValueError, match=match):
        bank.set_state(other.get_state())
    with pytest.raises(ValueError, match="get_state"):
        bank.set_state({"seed": 0, "epoch": 0})
    assert bank.counts.tolist() == [0]


def test_same_seed_same_draws():
    banks = [MemoryBank(SHAPE, 3, seed=seed) for seed in (7, 7, 8)]
    for bank in banks:
        bank.add(numbered(0, 60), np.arange(60) % 3)
    first, again, other = (bank.sample(4, [0, 2]) for bank in banks)
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_goes_on_after_saving_where_it_was(tmp_path, dtype):
    bank = MemoryBank(SHAPE, 3, capacity=4, dtype=dtype, seed=5)
    bank.add(numbered(0, 20), np.arange(20) % 2)
    bank.sample(2, [0])
    bank.save(tmp_path / "bank.npz")
    again = MemoryBank.load(tmp_path / "bank.npz")
    for each in (bank, again):
        each.add(numbered(20, 23), [1, 2, 1])
    np.testing.assert_array_equal(again.counts, bank.counts)
    for _ in range(3):
        drawn = again.sample(3, [0, 1, 2])
        assert drawn.dtype == dtype
        np.testing.assert_array_equal(drawn, bank.sample(3, [0, 1, 2]))
    assert [path.name for path in tmp_path.iterdir()] == ["bank.npz"]


def test_a_failed_save_leaves_the_last_one(tmp_path, monkeypatch):
    bank = MemoryBank(SHAPE)
    bank.add(numbered(0, 3))
    bank.save(tmp_path / "bank.npz")

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        bank.save(tmp_path / "bank.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["bank.npz"]
    assert len(MemoryBank.load(tmp_path / "bank.npz")) == 3


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 cut"])
def test_names_a_damaged_file(tmp_path, content):
    path = tmp_path / "bank.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged.*bank\.npz"):
        MemoryBank.load(path)


def test_names_a_file_of_something_else(tmp_path):
    np.save(tmp_path / "array.npy", np.zeros(3))
    np.savez(tmp_path / "bank.npz", state="{}")
    for name in ("array.npy", "bank.npz"):
        with pytest.raises(ValueError, match="damaged"):
            MemoryBank.load(tmp_path / name)


@pytest.mark.parametrize(
    ("kwargs", "error", "match"),
    [
        ({"sample_shape": ()}, ValueError, "sample_shape"),
        ({"sample_shape": 3}, ValueError, "sample_shape=3"),
        ({"sample_shape": (2, 0)}, ValueError, "sample_shape=0"),
        ({"num_classes": 0}, ValueError, "num_classes=0"),
        ({"capacity": 1.5}, TypeError, "capacity=1.5"),
        ({"dtype": "int8"}, ValueError, "dtype='int8'"),
        ({"seed": -1}, ValueError, "seed=-1"),
    ],
)
def test_names_an_argument_that_cannot_be(kwargs, error, match):
    with pytest.raises(error, match=match):
        MemoryBank(**{"sample_shape": SHAPE, **kwargs})


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda b: b.add(numbered(0, 2)), "labels=None"),
        (lambda b: b.add(numbered(0, 2), [0]), r"shape \(1,\)"),
        (lambda b: b.add(numbered(0, 2), [0.0, 1.0]), "float64"),
        (lambda b: b.add(numbered(0, 2), [0, 3]), r"labels\[1\]=3"),
        (lambda b: b.add(numbered(0, 2)[:, 0], [0, 1]), r"\(2, 3\)"),
        (lambda b: b.add(np.zeros((1, 2, 3), "uint8"), [0]), "uint8"),
        (lambda b: b.sample(2, 1), r"shape \(\)"),
        (lambda b: b.sample(2), "labels=None"),
        (lambda b: b.sample(2, [-1]), r"labels\[0\]=-1"),
        (lambda b: b.sample(2, [0, 1]), "empty class 1"),
        (lambda b: b.sample(0, [0]), "n=0"),
        (lambda b: MemoryBank(SHAPE).sample(1), "an empty bank"),
        (lambda b: MemoryBank(SHAPE).sample(1, [0]), "num_classes=None"),
    ],
)
def test_names_data_that_do_not_fit(call, match):
    bank = MemoryBank(SHAPE, num_classes=3)
    bank.add(numbered(0, 1), [0])
    with pytest.raises(ValueError, match=match):
        call(bank)


def test_takes_tensors_and_bfloat16():
    bank = MemoryBank(SHAPE, num_classes=2)
    samples = ops.cast(numbered(0, 2), "bfloat16")
    bank.add(samples, ops.convert_to_tensor([0, 1]))
    bank.add(np.asarray(numbered(2, 4)), ops.convert_to_tensor([0, 1]))
    drawn = bank.sample(2, ops.convert_to_tensor([1]))
    assert sorted(drawn[0, :, 0, 0].tolist()) == [1.0, 3.0]


@pytest.mark.parametrize("value", [1e5, np.inf, np.nan])
def test_refuses_numbers_that_its_type_cannot_hold(value):
    """Those above 65504 became infinite, with a warning of NumPy's."""
    bank = MemoryBank(SHAPE, num_classes=3, dtype="float16")
    samples = np.array(numbered(0, 3))
    samples[1] = value
    with pytest.raises(
        ValueError, match=f"float16, up to 65504.*from {value:g}"
    ):
        bank.add(samples, [0, 1, 2])
    assert len(bank) == 0
    with pytest.raises(ValueError, match=r"float32, up to 3\.4"):
        MemoryBank((1,)).add(np.full((1, 1), 1e39))
    bank.add(np.full((1, *SHAPE), 65504.0), [0])
    assert bank.sample(1, [0]).max() == 65504
