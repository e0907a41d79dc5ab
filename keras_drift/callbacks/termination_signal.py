"""The signal by which a cluster asks a process to end."""

import signal
import threading


class TerminationSignal:
    """Notes SIGTERM while training runs, instead of ending at once.

    Attributes:
        received: bool, whether the signal has come.
    """

    def __init__(self):
        self.received = False
        self._before = None

    def wait_for(self):
        """Notes the next signal; one after it has the effect it had before."""
        self.received = False
        # Python allows handlers in the main thread only.
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._note)

    def pass_on(self):
        """Restores the effect of the signal, and lets a noted one have it."""
        self._restore()
        if self.received:
            self.received = False
            signal.raise_signal(signal.SIGTERM)

    def _note(self, number, frame):
        del number, frame
        self.received = True
        self._restore()

    def _restore(self):
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
            self._before = None
