import numpy as np
import pytest

import user_line
from keras_drift.atomic_files import write_arrays
from keras_drift.evaluation.run_directory import RunDirectory
from keras_drift.evaluation.run_directory import read_arrays

ARGUMENTS = {"seed": 3, "guidance": 1.1, "labels": "balanced"}


def test_a_run_is_continued_with_its_arguments(tmp_path):
    run = RunDirectory(tmp_path / "a/b", "arguments.json", ARGUMENTS)
    assert run.path == tmp_path / "a/b"
    RunDirectory(tmp_path / "a/b", "arguments.json", dict(ARGUMENTS))


@pytest.mark.parametrize(
    "change", [{"seed": 4}, {"rounding": "floor"}, {"labels": "f" * 64}]
)
def test_another_value_and_another_argument_are_refused(tmp_path, change):
    RunDirectory(tmp_path, "arguments.json", ARGUMENTS)
    (name,) = change
    with pytest.raises(ValueError, match=f"another `{name}`"):
        RunDirectory(tmp_path, "arguments.json", {**ARGUMENTS, **change})
    less = {k: v for k, v in ARGUMENTS.items() if k != "seed"}
    with pytest.raises(ValueError, match="another `seed`"):
        RunDirectory(tmp_path, "arguments.json", less)


def test_damaged_arguments_are_refused(tmp_path):
    for text in ("{", "[1, 2]", ""):
        (tmp_path / "arguments.json").write_text(text)
        with pytest.raises(ValueError, match="is damaged"):
            RunDirectory(tmp_path, "arguments.json", ARGUMENTS)


def test_arrays_survive(tmp_path):
    path = tmp_path / "arrays.npz"
    assert read_arrays(path) is None
    write_arrays(path, {"x": np.arange(3.0), "y": np.ones((2, 0))})
    found = read_arrays(path)
    np.testing.assert_array_equal(found["x"], [0, 1, 2])
    assert found["y"].shape == (2, 0)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04"])
def test_damaged_arrays_are_absent_with_a_warning(tmp_path, content):
    path = tmp_path / "arrays.npz"
    path.write_bytes(content)
    with user_line.warns("arrays.npz' is damaged"):
        assert read_arrays(path) is None
