import numpy as np
import pytest

from keras_drift.evaluation.pixels import to_uint8


def test_bytes_survive_the_way_to_floats_and_back():
    levels = np.arange(256, dtype="uint8").reshape(1, 16, 16, 1)
    images = levels.astype("float32") / 127.5 - 1
    np.testing.assert_array_equal(to_uint8(images), levels)


def test_is_the_formula_of_the_literature():
    images = np.random.default_rng(0).uniform(-1.2, 1.2, (4, 8, 8, 3))
    expected = np.clip(np.round(127.5 * images + 127.5), 0, 255)
    np.testing.assert_array_equal(to_uint8(images), expected)


def test_floor_is_that_of_the_official_release():
    images = np.random.default_rng(1).uniform(-1.2, 1.2, (4, 8, 8, 3))
    # The release maps to [0, 1], clips, and truncates the product with 255.
    expected = (np.clip((images + 1) / 2, 0, 1) * 255).astype("uint8")
    found = to_uint8(images, "floor")
    np.testing.assert_array_equal(found, expected)
    darker = to_uint8(images).astype("float64") - found
    assert darker.mean() == pytest.approx(0.42, abs=0.05)  # some are clipped


def test_values_outside_do_not_wrap_around():
    images = np.array([-100.0, -1.0, 1.0, 100.0]).reshape(1, 2, 2, 1)
    assert to_uint8(images).ravel().tolist() == [0, 0, 255, 255]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_refuses_what_is_not_finite(value):
    images = np.zeros((3, 2, 2, 1))
    images[1, 0, 0] = value
    with pytest.raises(ValueError, match="1 of 3 images"):
        to_uint8(images)
