import io
import sys

import pytest

from keras_drift import progress
from keras_drift.progress import Progress
from keras_drift.progress import duration

pytestmark = pytest.mark.backend_free


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    return now


def test_says_how_fast_and_how_long(clock, capsys):
    told = Progress("Encoding", 1000, done=400)
    clock[0] += 5
    told.update(500)  # too soon for a line
    clock[0] += 5
    told.update(600)
    clock[0] += 1
    told.update(700)
    clock[0] += 9
    told.finish(1000, "; done")
    lines = capsys.readouterr().err.splitlines()
    # 200 images in 10 s, not the 600 of which 400 were done before.
    assert lines[0] == "Encoding: 600 of 1,000 images, 20 images/s, 20 s left"
    assert lines[-1] == (
        "Encoding: 1,000 of 1,000 images, 30 images/s in 20 s; done"
    )
    assert len(lines) == 2


def test_a_terminal_renews_one_line(clock, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    told = Progress("Reading", None, unit="samples")
    for _ in range(3):
        clock[0] += 1
        told.update(int(clock[0]))
    assert terminal.getvalue().count("\r") == 3
    assert "\n" not in terminal.getvalue()


def test_prints_nothing_if_not_asked(clock, capsys):
    told = Progress("Encoding", 10, verbose=False)
    clock[0] += 100
    told.update(5)
    told.say("something")
    told.finish(10)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (59.6, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (7260, "2 h 1 min"),
    ],
)
def test_durations(seconds, words):
    assert duration(seconds) == words
