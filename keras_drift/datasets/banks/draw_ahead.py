"""Computes items ahead of their consumer, on a thread."""

import collections
import threading
import time
import weakref

# A reader that takes no item for so long has ended.
_IDLE_SECONDS = 10


class DrawAhead:
    """A queue that a thread keeps filled with the results of a method.

    The first `get` starts the thread. It ends after an error of the method, at
    `stop`, when the owner of the method is dropped, and when nothing is taken
    for ten seconds; the next `get` starts another. So nothing has to be closed.

    Args:
        method: bound method without arguments: the next item, or `None` after a
            part of the work that gave no item yet. Its owner is referred to
            weakly.
        depth: int >= 1, the items to keep ready.
        name: str, the name of the thread.

    Attributes:
        lock: held during a call of the method; hold it to read or change what
            the method changes.
        seconds_waited: float, how long `get` has waited for items.
    """

    def __init__(self, method, depth, name):
        self._method = weakref.WeakMethod(method)
        self._depth = depth
        self._name = name
        self._items = collections.deque()
        self._error = None
        self._thread = None
        self._is_stopping = False
        # Acquired after `lock` where both are held.
        self._changed = threading.Condition()
        self.lock = threading.Lock()
        self.seconds_waited = 0.0
        # Wakes the thread, which refers to the queue during a call only.
        weakref.finalize(self, _notify, self._changed).atexit = False

    def get(self):
        """Removes and returns the next item; raises the error of the method.

        Items that were computed before the error come first. After the error
        the next call tries again.
        """
        start = time.perf_counter()
        with self._changed:
            self._is_stopping = False
            try:
                while not self._items:
                    if self._error is not None:
                        error, self._error = self._error, None
                        raise error
                    self._start()
                    self._changed.wait()
            except BaseException:
                # Such as Ctrl-C: nobody waits any more.
                self._is_stopping = True
                raise
            item = self._items.popleft()
            if self._error is None:
                self._start()
            self._changed.notify_all()
            self.seconds_waited += time.perf_counter() - start
            return item

    def stop(self):
        """Lets the thread end; the items that are ready stay."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()

    def items(self):
        """The items that are ready; call it holding `lock`."""
        with self._changed:
            return list(self._items)

    def replace(self, items):
        """Replaces the items that are ready; call it holding `lock`."""
        with self._changed:
            self._items = collections.deque(items)
            self._error = None
            self._changed.notify_all()

    def fill_one(self):
        """Calls the method once, on the thread; whether to go on."""
        with self.lock:
            method, item, error = self._method(), None, None
            if method is None:
                return False
            try:
                item = method()
            except BaseException as raised:
                error = raised
            # Without a reference to the owner, it can be dropped meanwhile.
            del method
            with self._changed:
                if item is not None:
                    self._items.append(item)
                self._error = error
                if error is not None:
                    self._thread = None
                self._changed.notify_all()
                return error is None

    def has_room(self, is_late):
        """Whether the thread is to fill it; `None` if it is to end.

        Args:
            is_late: bool, whether nothing was taken for long.
        """
        if len(self._items) < self._depth and not self._is_stopping:
            return True
        if self._is_stopping or is_late:
            self._thread = None
            return None
        return False

    def _start(self):
        """Starts the thread if none is running; `_changed` is held."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=_fill,
                args=(weakref.ref(self), self._changed),
                name=self._name,
                # Python does not wait at its exit for a stream that blocks.
                daemon=True,
            )
            self._thread.start()


def _fill(reference, changed):
    """What the thread runs."""
    while True:
        queue = reference()
        if queue is None or not queue.fill_one():
            return
        del queue
        if not _wait_for_room(reference, changed):
            return


def _wait_for_room(reference, changed):
    """Waits until an item was taken; whether the thread is to go on."""
    end = time.monotonic() + _IDLE_SECONDS
    with changed:
        while True:
            queue = reference()
            if queue is None:
                return False
            left = end - time.monotonic()
            room = queue.has_room(is_late=left <= 0)
            # Not referred to while waiting, so that it can be dropped.
            del queue
            if room is not False:
                return bool(room)
            changed.wait(left)


def _notify(changed):
    with changed:
        changed.notify_all()
