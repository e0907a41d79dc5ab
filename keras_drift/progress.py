"""Progress of long work, as lines on the standard error stream."""

import sys
import time

_SECONDS_BETWEEN_LINES = 10


class Progress:
    """Prints how much of some work is done, how fast, and the time left.

    A terminal shows one line, renewed every second; a file gets a line every
    ten seconds.

    Args:
        what: str, the work: the first word of the lines.
        total: int, the amount of work; `None` if it is unknown.
        done: int, how much of it was done before. Defaults to `0`.
        unit: str, what is counted. Defaults to `"images"`.
        verbose: bool, whether to print anything. Defaults to `True`.
    """

    def __init__(self, what, total, done=0, unit="images", verbose=True):
        self._what = what
        self._total = total
        self._unit = unit
        self._verbose = verbose
        self._done_before = self._done = done
        self._start = self._last_line = time.perf_counter()
        self._renews = verbose and sys.stderr.isatty()

    def update(self, done, note=""):
        """Prints a line if the last one is old enough.

        Args:
            done: int, how much is done by now.
            note: str, the end of the line.
        """
        self._done = done
        now = time.perf_counter()
        wait = 1 if self._renews else _SECONDS_BETWEEN_LINES
        if self._verbose and now - self._last_line >= wait:
            self._last_line = now
            self._write(self._line(now) + note, "\r" if self._renews else "\n")

    def say(self, text):
        """Prints a line of its own."""
        if self._verbose:
            self._write(text, "\n")

    def finish(self, done, note=""):
        """Prints the last line; the arguments are those of `update`."""
        self._done = done
        if self._verbose:
            now = time.perf_counter()
            seconds = now - self._start
            line = f"{self._line(now, ended=True)} in {duration(seconds)}"
            self._write(line + note, "\n")

    def _line(self, now, ended=False):
        line = f"{self._what}: {self._done:,}"
        if self._total is not None:
            line += f" of {self._total:,}"
        line += f" {self._unit}"
        new, seconds = self._done - self._done_before, now - self._start
        if new > 0 and seconds > 0:
            rate = new / seconds
            line += f", {rate:,.{0 if rate >= 10 else 1}f} {self._unit}/s"
            if self._total is not None and not ended:
                left = (self._total - self._done) / rate
                line += f", {duration(left)} left"
        return line

    def _write(self, line, end):
        # Blanks hide the end of a longer line before.
        line = line.ljust(79) if self._renews else line
        print(line, end=end, file=sys.stderr, flush=True)


def duration(seconds):
    """A duration in words.

    Example:

    >>> from keras_drift.progress import duration
    >>> duration(4.2), duration(75), duration(2 * 3600 + 60)
    ('4 s', '1 min 15 s', '2 h 1 min')
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
