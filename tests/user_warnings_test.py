"""Warnings of the library: whose line they name."""

import pathlib
import re

import keras
import pytest

import keras_drift
import user_line
from keras_drift import user_warnings

pytestmark = pytest.mark.backend_free

ROOT = pathlib.Path(keras_drift.__file__).parent
# Code that counts as that of the library, by the name of its module.
LIBRARY = """
import contextlib
import keras

def call(depth):
    if depth:
        call(depth - 1)
    else:
        warn("!")

def generator():
    yield call(1)

context = contextlib.contextmanager(generator)

class Callback(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        call(1)
"""


@pytest.fixture
def library():
    names = {"__name__": "keras_drift.module", "warn": user_warnings.warn}
    exec(LIBRARY, names)
    return names


@pytest.mark.parametrize("depth", [0, 1, 5])
def test_names_the_line_of_the_first_call(library, depth):
    with user_line.warns("!"):
        library["call"](depth)


def test_names_the_line_that_iterates(library):
    with user_line.warns("!"):
        list(library["generator"]())


def test_names_the_line_that_enters_a_context(library):
    with user_line.warns("!"), library["context"]():
        pass


def test_names_the_line_that_calls_keras(library):
    callbacks = keras.callbacks.CallbackList([library["Callback"]()])
    with user_line.warns("!"):
        callbacks.on_epoch_begin(0)


def test_no_module_counts_frames_by_hand():
    found = [
        path.relative_to(ROOT).as_posix()
        for path in sorted(ROOT.rglob("*.py"))
        if re.search(r"(?<!user_)warnings\.warn\(", path.read_text("utf-8"))
    ]
    assert found == ["user_warnings.py"]
