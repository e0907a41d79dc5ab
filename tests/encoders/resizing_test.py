import numpy as np
import pytest

from contracts import ON_JAX
from contracts import numpy
from keras_drift.encoders.resizing import resize

IMAGES = np.random.default_rng(0).normal(size=(2, 6, 9, 3)).astype("float32")


def by_hand(line, size):
    """One axis, one pixel at a time: a mean weighted by a triangle."""
    ratio = len(line) / size
    width = max(ratio, 1.0)
    result = []
    for i in range(size):
        center = (i + 0.5) * ratio
        weights = [
            max(0.0, 1 - abs(j + 0.5 - center) / width)
            for j in range(len(line))
        ]
        result.append(np.average(line, axis=0, weights=weights))
    return np.array(result)


@pytest.mark.parametrize(
    "size",
    [(13, 9), (6, 4), (4, 20), (3, 3), (6, 9)],
    ids=["larger", "smaller", "both", "whole_ratio", "same"],
)
def test_is_a_mean_of_the_pixels_near_a_center(size):
    height, width = size
    found = numpy(resize(IMAGES, height, width))
    rows = by_hand(np.moveaxis(IMAGES, 1, 0).astype("float64"), height)
    expected = by_hand(np.moveaxis(rows, 2, 0), width)  # (w, h, batch, 3)
    expected = expected.transpose(2, 1, 0, 3)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.skipif(not ON_JAX, reason="the reference is a function of JAX")
@pytest.mark.parametrize("size", [(13, 9), (4, 5)])
def test_is_that_of_the_official_release(size):
    import jax

    found = numpy(resize(IMAGES, *size))
    expected = jax.image.resize(IMAGES, (2, *size, 3), "bilinear")
    np.testing.assert_allclose(found, expected, atol=1e-6)
