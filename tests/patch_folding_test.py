import numpy as np
import pytest

from contracts import numpy
from keras_drift import patch_folding

IMAGES = np.random.default_rng(0).normal(size=(2, 4, 8, 3)).astype("float32")


@pytest.mark.parametrize("size", [1, 2, 4])
def test_folds_the_pixels_of_a_patch_row_by_row(size):
    folded = numpy(patch_folding.fold(IMAGES, size))
    assert folded.shape == (2, 4 // size, 8 // size, 3 * size**2)
    for row, column in np.ndindex(folded.shape[1:3]):
        patch = IMAGES[:, size * row :, size * column :][:, :size, :size]
        np.testing.assert_array_equal(
            folded[:, row, column], patch.reshape(2, -1)
        )
    np.testing.assert_array_equal(
        numpy(patch_folding.unfold(folded, size)), IMAGES
    )
    of_numpy = patch_folding.fold(IMAGES.astype("float64"), size, np)
    assert of_numpy.dtype == "float64"
    np.testing.assert_array_equal(of_numpy, folded)
