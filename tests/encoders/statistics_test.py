import numpy as np
import pytest

from contracts import numpy
from keras_drift.encoders import statistics

MAPS = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype("float32")


def by_hand(function, size):
    """A function of the pixels of each window, one window at a time."""
    height, width = (4, 6) if size is None else (size, size)
    windows = [
        MAPS[:, row : row + height, column : column + width]
        for row in range(0, 4, height)
        for column in range(0, 6, width)
    ]
    windows = [w.reshape(2, -1, 3).astype("float64") for w in windows]
    return np.stack([function(w) for w in windows], axis=1)


@pytest.mark.parametrize("size", [None, 1, 2])
def test_means_are_those_of_windows_in_row_major_order(size):
    found = numpy(statistics.window_mean(MAPS, size))
    expected = by_hand(lambda pixels: pixels.mean(axis=1), size)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("size", [None, 1, 2])
def test_standard_deviations_are_biased_and_never_zero(size):
    found = numpy(statistics.window_std(MAPS, size))
    expected = by_hand(lambda p: np.sqrt(p.var(axis=1) + 1e-6), size)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    if size == 1:
        np.testing.assert_allclose(found, 1e-3, rtol=1e-6)


def test_windows_cover_the_map_or_are_left_out():
    assert statistics.divides(2, (4, 6))
    assert not statistics.divides(4, (4, 6))
    assert not statistics.divides(3, (4, 6))
