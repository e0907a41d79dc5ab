import gc
import itertools
import threading
import time
import weakref

import pytest

from keras_drift.datasets.banks import draw_ahead
from keras_drift.datasets.banks.draw_ahead import DrawAhead

pytestmark = [
    pytest.mark.backend_free,
    pytest.mark.usefixtures("small_heap"),
]

NAME = "draw-ahead-test"


class Counter:
    """Counts, after some work and at some places with an error."""

    def __init__(self, depth=2, seconds=0.0, fails_at=(), parts=1):
        self.ahead = DrawAhead(self.compute, depth, NAME)
        self._numbers = itertools.count()
        self._seconds, self._fails_at, self._parts = seconds, fails_at, parts
        self.calls = 0

    def compute(self):
        self.calls += 1
        time.sleep(self._seconds)
        if self.calls % self._parts:
            return None
        number = next(self._numbers)
        if number in self._fails_at:
            raise RuntimeError(f"no {number}")
        return number


@pytest.fixture(autouse=True)
def _no_threads_left():
    yield
    gc.collect()
    wait_until(lambda: not threads())


def threads():
    return [t for t in threading.enumerate() if t.name == NAME]


def wait_until(condition):
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(1e-3)
    assert condition()


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.usefixtures("eager_threads")
def test_items_come_in_order(depth, parts):
    counter = Counter(depth, parts=parts)
    assert [counter.ahead.get() for _ in range(200)] == list(range(200))


def test_computes_nothing_before_it_is_asked():
    counter = Counter()
    time.sleep(0.02)
    assert counter.calls == 0
    assert not threads()


def test_stops_and_starts_again():
    counter = Counter(depth=3)
    counter.ahead.get()
    wait_until(lambda: len(counter.ahead.items()) == 3)
    assert threads()
    counter.ahead.stop()
    wait_until(lambda: not threads())
    assert counter.ahead.items() == [1, 2, 3]
    assert [counter.ahead.get() for _ in range(9)] == list(range(1, 10))
    assert threads()


def test_stops_in_the_middle_of_its_work():
    counter = Counter(depth=1000, seconds=1e-3)
    counter.ahead.get()
    counter.ahead.stop()
    wait_until(lambda: not threads())
    assert counter.calls < 1000
    assert [counter.ahead.get() for _ in range(9)] == list(range(1, 10))


def test_the_thread_ends_when_nothing_is_taken_for_long(monkeypatch):
    monkeypatch.setattr(draw_ahead, "_IDLE_SECONDS", 0.05)
    counter = Counter()
    counter.ahead.get()
    wait_until(lambda: not threads())
    assert [counter.ahead.get() for _ in range(9)] == list(range(1, 10))


def test_is_ahead_while_the_reader_works():
    counter = Counter(depth=2, seconds=0.02)
    counter.ahead.get()
    first = counter.ahead.seconds_waited
    assert first >= 0.02
    for _ in range(10):
        time.sleep(0.06)
        counter.ahead.get()
    # Computing in turns would have taken 0.2 s.
    assert counter.ahead.seconds_waited - first < 0.1


def test_an_error_reaches_the_reader_after_the_items_before_it():
    counter = Counter(depth=5, fails_at=(2, 3))
    assert [counter.ahead.get() for _ in range(2)] == [0, 1]
    for number in (2, 3):
        with pytest.raises(RuntimeError, match=f"no {number}"):
            counter.ahead.get()
    assert counter.ahead.get() == 4


def test_the_thread_ends_when_the_owner_is_dropped():
    started = threading.Event()

    class Endless(Counter):
        def compute(self):
            started.set()
            time.sleep(1e-3)

    counter = Endless()
    reference = weakref.ref(counter)
    ahead = counter.ahead
    with ahead._changed:
        ahead._start()
    assert started.wait(20)
    del counter, ahead
    gc.collect()
    wait_until(lambda: reference() is None)
    wait_until(lambda: not threads())


def test_an_idle_thread_ends_at_once_when_the_owner_is_dropped():
    counter = Counter(depth=1)
    counter.ahead.get()
    time.sleep(0.1)  # the queue is full, and the thread waits
    start = time.monotonic()
    del counter
    wait_until(lambda: not threads())
    assert time.monotonic() - start < 5


def test_the_thread_ends_when_the_reader_is_interrupted(monkeypatch):
    class Endless(Counter):
        def compute(self):
            self.calls += 1
            time.sleep(1e-3)

    counter = Endless()

    def interrupt(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(counter.ahead._changed, "wait", interrupt)
        with pytest.raises(KeyboardInterrupt):
            counter.ahead.get()
    wait_until(lambda: not threads())


def test_replaced_items_come_next():
    counter = Counter(depth=2)
    counter.ahead.get()
    with counter.ahead.lock:
        counter.ahead.replace(["a", "b"])
    assert [counter.ahead.get() for _ in range(3)][:2] == ["a", "b"]
