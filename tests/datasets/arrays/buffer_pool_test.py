import copy
import gc
import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from keras import ops

from keras_drift.datasets.arrays.buffer_pool import BufferPool

pytestmark = pytest.mark.usefixtures("small_heap")


def test_arrays_have_the_type_and_shape_and_can_be_written_to():
    array = BufferPool("float16").empty((2, 3))
    assert array.dtype == "float16"
    assert array.shape == (2, 3)
    assert type(array) is np.ndarray
    array[:] = 7
    assert array.sum() == 42


def test_memory_comes_back_when_nobody_holds_it():
    pool = BufferPool("float32")
    addresses = {pool.empty((2, 3)).ctypes.data for _ in range(8)}
    assert len(addresses) == 1


@pytest.mark.parametrize(
    "hold",
    [
        lambda array: array,
        lambda array: array[1:, 0].reshape(-1),
        lambda array: memoryview(array),
        lambda array: np.asarray(array.T).base,
        ops.convert_to_tensor,
    ],
    ids=["array", "view", "memoryview", "base", "tensor"],
)
def test_memory_that_somebody_holds_is_left_alone(hold):
    pool = BufferPool("float32")
    first = pool.empty((16, 16))
    first[:] = 1
    held = hold(first)
    del first
    gc.collect()
    for _ in range(4):
        pool.empty((16, 16))[:] = 2
    assert np.all(np.asarray(ops.convert_to_numpy(held)) == 1)


def test_keeps_few_unused_buffers_and_of_the_last_size_only():
    pool = BufferPool("float32", capacity=2)
    arrays = [pool.empty((4,)) for _ in range(5)]
    del arrays
    assert pool._unused.qsize() == 2
    other = pool.empty((8,))
    assert pool._unused.qsize() == 0
    del other
    assert pool._unused.qsize() == 1


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda pool: pickle.loads(pickle.dumps(pool))],
)
def test_copies_share_no_memory(copied):
    pool = BufferPool("float64", capacity=1)
    address = pool.empty((4,)).ctypes.data
    array = copied(pool).empty((4,))
    assert array.dtype == "float64"
    assert array.ctypes.data != address


def test_an_array_outlives_its_pool():
    array = BufferPool("float32").empty((100,))
    array[:] = 5
    gc.collect()
    assert array.sum() == 500


@pytest.mark.usefixtures("eager_threads")
def test_two_threads_never_get_one_buffer():
    # A pool that looks at reference counts and then returns an array fails
    # here some fifty times.
    pool = BufferPool("float32")
    end = time.monotonic() + 2.0

    def count_intrusions(thread):
        intrusions = 0
        while time.monotonic() < end:
            array = pool.empty((1, 4))
            array[0] = thread
            for _ in range(3):
                pass
            intrusions += array[0, 0] != thread
        return intrusions

    with ThreadPoolExecutor(4) as executor:
        assert sum(executor.map(count_intrusions, range(4))) == 0
