"""Checkpoints of Orbax: what is left after one that could not be written."""

import threading

import keras
import numpy as np
import pytest

from keras_drift import backend

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="Orbax writes the arrays of JAX"
)


class Files:
    """The other files of a checkpoint; they fail in one of the methods."""

    def __init__(self, fails_in=None):
        self.fails_in = fails_in

    def write(self, directory, wait_for_arrays):
        wait_for_arrays()
        self._fail_in("write")

    def complete(self, directory, finalize):
        finalize(directory)
        self._fail_in("complete")

    def _fail_in(self, name):
        if name == self.fails_in:
            raise OSError("no space")


@pytest.fixture
def write(tmp_path):
    """Writes a checkpoint; the error of a failure is kept, as by a debugger."""
    writer = backend.sharded_checkpoints()
    numbers = iter(range(10))

    def write(files, values):
        path = tmp_path / f"checkpoint_{next(numbers)}"
        try:
            writer.write(path, {"weights": values}, files)()
        except (OSError, ValueError) as error:
            return error
        return None

    return write


@pytest.mark.parametrize("fails_in", ["write", "complete", "save"])
def test_a_failed_checkpoint_leaves_no_thread(write, fails_in):
    values = [keras.Variable(np.ones(3, "float32"))]
    assert write(Files(), values) is None
    before = threading.active_count()
    if fails_in == "save":

        class Wrong:
            value = "a text is no array of numbers"

        values = [Wrong()]
    errors = [write(Files(fails_in), values) for _ in range(2)]
    assert None not in errors
    assert threading.active_count() == before
