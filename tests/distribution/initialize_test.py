import pytest

from keras_drift import distribution


def test_a_single_process_has_nothing_to_join(monkeypatch):
    assert distribution.initialize() == (0, 1)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert distribution.initialize(timeout=5.0) == (0, 1)


def test_the_timeout_is_positive():
    with pytest.raises(ValueError, match=r"`timeout`.*timeout=0"):
        distribution.initialize(timeout=0)
