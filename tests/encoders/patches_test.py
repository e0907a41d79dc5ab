import keras
import numpy as np
import pytest
from keras import ops

from contracts import numpy
from keras_drift.encoders import patches

IMAGES = np.random.default_rng(0).normal(size=(2, 4, 8, 3)).astype("float32")


def windows(images, side):
    """The patches of each image, row by row: lists of `(side, side, c)`."""
    _, height, width, _ = images.shape
    return [
        [
            image[row : row + side, column : column + side].astype("float64")
            for row in range(0, height, side)
            for column in range(0, width, side)
        ]
        for image in images
    ]


def statistics_by_hand():
    def std(window):
        squares = (window - window.mean(axis=(0, 1))) ** 2
        return np.sqrt(squares.mean(axis=(0, 1)) + 1e-6)

    def mean(window):
        return window.mean(axis=(0, 1))

    def each(statistic, side):
        return [[statistic(w) for w in ws] for ws in windows(IMAGES, side)]

    return {
        "map": IMAGES.reshape(2, 32, 3),
        "map_mean": [[mean(image)] for image in IMAGES.astype("float64")],
        "map_std": [[std(image)] for image in IMAGES.astype("float64")],
        "map_mean_2": each(mean, 2),
        "map_std_2": each(std, 2),
        "map_std_4": each(std, 4),
    }


def test_statistics_are_those_of_each_patch():
    found = patches.statistics("map", IMAGES, (2, 3), (2, 4, 8), True, True)
    expected = statistics_by_hand()
    # Sides of 3 and 8 do not divide both 4 and 8.
    assert list(found) == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(numpy(found[name]), value, atol=1e-6)


def test_leaves_out_what_is_not_asked_for():
    found = patches.statistics("map", IMAGES, (), (), False, False)
    assert list(found) == ["map"]


def test_sides_are_a_sequence_or_none():
    for sides in ([2, 4], (2, 4), np.array([2, 4])):
        assert patches.checked_sides("means", sides) == (2, 4)
    assert patches.checked_sides("means", None) == ()
    for sides in (2, "2", {2}):
        with pytest.raises(TypeError, match=r"`means` is a seq.*means="):
            patches.checked_sides("means", sides)


def test_one_position_has_the_smallest_standard_deviation():
    one = IMAGES[:, :1, :1]
    found = patches.statistics("map", one, (), (1,), False, True)
    for name in ("map_std", "map_std_1"):
        np.testing.assert_allclose(numpy(found[name]), 1e-3, rtol=1e-6)


def test_root_mean_square_is_over_positions():
    squares = np.mean(IMAGES.astype("float64") ** 2, axis=(1, 2))
    found = numpy(patches.root_mean_square(IMAGES))
    expected = np.sqrt(squares + 1e-6)[:, None]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def hidden(ratio, size=2, seed=0):
    generator = keras.random.SeedGenerator(seed)
    mask = patches.random_mask((2000, 8, 8), size, ratio, generator)
    assert mask.shape == (2000, 8, 8, 1)
    return numpy(mask)[..., 0]


def test_a_patch_is_hidden_as_a_whole():
    mask = hidden((0.5, 0.5))
    corners = mask[:, ::2, ::2]
    assert set(np.unique(mask)) == {0, 1}
    np.testing.assert_array_equal(mask, np.kron(corners, np.ones((1, 2, 2))))


def test_every_patch_of_every_image_is_drawn():
    corners = hidden((0.5, 0.5))[:, ::2, ::2]
    for axes in (0, (1, 2)):
        assert np.all(corners.mean(axis=axes).std() > 0)
    # No two patches of an image, and no two images, agree by construction.
    flat = corners.reshape(2000, 16)
    correlation = np.corrcoef(flat.T) - np.eye(16)
    assert np.abs(correlation).max() < 5 / np.sqrt(2000)
    assert len(np.unique(flat, axis=0)) > 1900


@pytest.mark.parametrize(
    ("ratio", "mean", "variance"),
    [
        # Binomial counts of 16 patches; and those of a ratio that is uniform
        # itself, by the law of total variance.
        ((0.25, 0.25), 4, 16 * 0.25 * 0.75),
        ((0.0, 1.0), 8, 16 / 6 + 16**2 / 12),
        ((0.0, 0.0), 0, 0),
        ((1.0, 1.0), 16, 0),
    ],
)
def test_images_have_ratios_of_their_own(ratio, mean, variance):
    counts = hidden(ratio)[:, ::2, ::2].sum(axis=(1, 2))
    error = np.sqrt(variance / 2000)
    np.testing.assert_allclose(counts.mean(), mean, atol=5 * error)
    np.testing.assert_allclose(counts.var(), variance, rtol=0.15)


def test_a_seed_decides_the_mask():
    np.testing.assert_array_equal(hidden((0, 1)), hidden((0, 1)))
    assert np.any(hidden((0, 1)) != hidden((0, 1), seed=1))


def test_numbered_masks_are_a_fixed_sequence():
    def masks(numbers, ratio=(0.2, 0.8)):
        numbers = ops.convert_to_tensor(np.array(numbers, "int32"))
        return numpy(patches.numbered_mask(numbers, (8, 16), 4, ratio, seed=3))

    many = masks(range(256))
    assert many.shape == (256, 8, 16, 1)
    np.testing.assert_array_equal(masks([5, 256 + 7]), many[[5, 7]])
    # Whole patches; a ratio of each image; and on the average its mean.
    shares = many.mean(axis=(1, 2, 3))
    np.testing.assert_array_equal(shares % 0.125, 0)
    assert abs(shares.mean() - 0.5) < 0.05
    # Of 8 patches: more variance than that of one ratio, 0.25 / 8 = 0.031.
    assert 0.045 < shares.var() < 0.07
    assert np.all(masks([0, 1], (1.0, 1.0)) == 1)
