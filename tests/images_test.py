import sys

import numpy as np
import pytest

from keras_drift.images import image_grid
from keras_drift.images import write_png

pytestmark = pytest.mark.backend_free


def test_grid_keeps_order_and_range():
    images = np.stack([np.full((2, 3, 1), v) for v in (-1, 0, 1, 5, -5)])
    grid = image_grid(images, columns=3, scale=2)
    assert grid.shape == (2 * 5 + 1, 3 * 7 + 1, 3)
    assert [grid[1, 1 + 7 * i, 0] for i in range(3)] == [0, 128, 255]
    assert [grid[6, 1 + 7 * i, 0] for i in range(3)] == [255, 0, 255]


def test_color_images_keep_their_colors():
    image = np.array([[[[-1.0, 0.0, 1.0]]]])
    assert image_grid(image, columns=1)[1, 1].tolist() == [0, 128, 255]


def test_file_is_complete_or_not_there(tmp_path):
    with pytest.raises(TypeError):
        write_png(tmp_path / "bad.png", np.zeros((2, 2, 7), "uint8"))
    assert not (tmp_path / "bad.png").exists()


def test_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ImportError, match="keras-drift\\[examples\\]"):
        write_png(tmp_path / "x.png", np.zeros((2, 2, 3), "uint8"))
