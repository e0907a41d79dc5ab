import ml_dtypes
import numpy as np
import pytest

from keras_drift.training import state_file


def test_gives_back_what_was_written(tmp_path):
    state = {
        "weights": [np.arange(6.0).reshape(2, 3), np.int64(7)],
        "data": {"epoch": 3, "seed": None, "bank": {"rows": np.zeros((0, 4))}},
        "half": np.array([1.5, -2.0], ml_dtypes.bfloat16),
        "text": "a",
    }
    path = tmp_path / "state.npz"
    state_file.write(path, state)
    found = state_file.read(path)
    assert found["data"]["epoch"] == 3
    assert found["data"]["seed"] is None
    assert found["data"]["bank"]["rows"].shape == (0, 4)
    assert found["weights"][1] == 7
    assert found["weights"][1].dtype == "int64"
    assert found["half"].dtype == ml_dtypes.bfloat16
    assert found["half"].tolist() == [1.5, -2.0]
    np.testing.assert_array_equal(found["weights"][0], state["weights"][0])
    assert found["text"] == "a"


def test_a_failure_leaves_the_file_before(tmp_path):
    path = tmp_path / "state.npz"
    state_file.write(path, {"x": 1})
    with pytest.raises(TypeError):
        state_file.write(path, {"x": object()})
    assert state_file.read(path) == {"x": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["state.npz"]


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04"])
def test_names_a_damaged_file(tmp_path, content):
    path = tmp_path / "state.npz"
    path.write_bytes(content)
    with pytest.raises(state_file.DamagedError, match=r"state\.npz"):
        state_file.read(path)


def test_a_missing_array_is_damage(tmp_path):
    path = tmp_path / "state.npz"
    np.savez(path, state='{"x": {"__array__": [0, "float32"]}}')
    with pytest.raises(state_file.DamagedError):
        state_file.read(path)
