"""A thread-safe pool of array buffers."""

import math
import queue

import numpy as np


class BufferPool:
    """Allocates arrays, reusing the memory of arrays that were destroyed.

    Memory that the system has just mapped costs more than the copy into it: the
    kernel clears each page of it first. Safe to use from several threads, with
    and without a global interpreter lock: a buffer is taken out of the pool
    before an array is made of it, and comes back when the last array, view or
    tensor that refers to it is destroyed.

    Args:
        dtype: NumPy type of the arrays.
        capacity: int >= 1, the most unused buffers to keep. Defaults to `2`:
            one array is in use while another is copied to a device.

    Example:

    >>> from keras_drift.datasets.arrays.buffer_pool import BufferPool
    >>> pool = BufferPool("float32")
    >>> first = pool.empty((2, 3))
    >>> address = first.ctypes.data
    >>> del first
    >>> pool.empty((3, 2)).ctypes.data == address
    True
    """

    def __init__(self, dtype, capacity=2):
        self._dtype = np.dtype(dtype)
        self._capacity = capacity
        # Its `put` may be called by a destructor at any moment, even within
        # another call of this queue.
        self._unused = queue.SimpleQueue()

    def empty(self, shape):
        """Returns an array of a shape, whose values are arbitrary."""
        buffer = self._take(math.prod(shape))
        return np.asarray(_Loan(buffer, self)).reshape(shape)

    def _take(self, size):
        """An unused buffer of a size; those of other sizes are dropped."""
        while True:
            try:
                buffer = self._unused.get_nowait()
            except queue.Empty:
                return np.empty(size, self._dtype)
            if buffer.size == size:
                return buffer

    def _give_back(self, buffer):
        # Two threads may pass this at once, and one buffer too many be kept.
        if self._unused.qsize() < self._capacity:
            self._unused.put(buffer)

    def __reduce__(self):
        # A copy, or another process, has memory of its own.
        return type(self), (self._dtype, self._capacity)


class _Loan:
    """The `base` of the arrays that share the memory of a buffer.

    It is destroyed after the last of them, and gives the buffer back.
    """

    def __init__(self, buffer, pool):
        self._buffer = buffer
        self._pool = pool
        self.__array_interface__ = buffer.__array_interface__

    def __del__(self):
        self._pool._give_back(self._buffer)
