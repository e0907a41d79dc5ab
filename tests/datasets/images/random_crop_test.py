import math

import numpy as np
import pytest

from keras_drift.datasets.images import random_crop

pytestmark = pytest.mark.backend_free

SCALE, RATIO = (0.2, 1.0), (3 / 4, 4 / 3)


def crop_of_torchvision(width, height, rng, scale=SCALE, ratio=RATIO):
    """`RandomResizedCrop.get_params` of torchvision 0.20, in NumPy."""
    area = height * width
    log_ratio = np.log(ratio)
    for _ in range(10):
        target_area = area * rng.uniform(scale[0], scale[1])
        aspect_ratio = np.exp(rng.uniform(log_ratio[0], log_ratio[1]))
        w = round(np.sqrt(target_area * aspect_ratio))
        h = round(np.sqrt(target_area / aspect_ratio))
        if 0 < w <= width and 0 < h <= height:
            i = rng.integers(0, height - h + 1)
            j = rng.integers(0, width - w + 1)
            return i, j, h, w
    in_ratio = float(width) / float(height)
    if in_ratio < min(ratio):
        w = width
        h = round(w / min(ratio))
    elif in_ratio > max(ratio):
        h = height
        w = round(h * max(ratio))
    else:
        w = width
        h = height
    i = (height - h) // 2
    j = (width - w) // 2
    return i, j, h, w


def crops(width, height, count, scale=SCALE, ratio=RATIO):
    crop = random_crop.RandomCrop(scale, ratio)
    boxes = np.array([crop.box(width, height, (7, i)) for i in range(count)])
    assert np.all(boxes >= 0)
    assert np.all(boxes[:, 2] <= width)
    assert np.all(boxes[:, 3] <= height)
    left, top, right, bottom = boxes.T
    return np.stack([top, left, bottom - top, right - left], 1)


def kolmogorov_smirnov(one, other):
    """The largest difference of two cumulative distributions."""
    at = np.concatenate([one, other])
    one, other = np.sort(one), np.sort(other)
    return np.abs(
        np.searchsorted(one, at, "right") / len(one)
        - np.searchsorted(other, at, "right") / len(other)
    ).max()


@pytest.mark.parametrize(
    ("size", "scale", "ratio"),
    [
        ((500, 375), SCALE, RATIO),
        ((300, 400), (0.08, 0.5), RATIO),
        ((200, 200), (0.3, 0.9), (0.5, 3.0)),
        ((600, 150), SCALE, RATIO),  # most draws do not fit
    ],
)
def test_areas_ratios_and_places_are_distributed_as_in_torchvision(
    size, scale, ratio
):
    count, rng = 4000, np.random.default_rng(0)
    found = crops(*size, count, scale, ratio)
    expected = np.array(
        [crop_of_torchvision(*size, rng, scale, ratio) for _ in range(count)]
    )

    def measured(boxes):
        top, left, rows, columns = boxes.T
        room = np.maximum(size[1] - rows, 1), np.maximum(size[0] - columns, 1)
        return {
            "area": rows * columns,
            "ratio": columns / rows,
            "top": top / room[0],
            "left": left / room[1],
        }

    # 0.0436 is the critical value at a level of 0.1%.
    bound = math.sqrt(-math.log(0.001 / 2) / count)
    found, expected = measured(found), measured(expected)
    for name, values in found.items():
        assert kolmogorov_smirnov(values, expected[name]) < bound, name


def test_areas_are_uniform():
    _, _, rows, columns = crops(1000, 1000, 4000, (0.2, 0.6)).T
    shares = rows * columns / 1e6
    assert shares.min() == pytest.approx(0.2, abs=0.002)
    assert shares.max() == pytest.approx(0.6, abs=0.002)
    counts, _ = np.histogram(shares, np.linspace(0.2, 0.6, 11))
    assert np.abs(counts - 400).max() < 5 * math.sqrt(400)


@pytest.mark.parametrize("size", [(600, 20), (20, 600), (1, 1), (3, 1)])
def test_what_never_fits_is_the_largest_crop_in_the_center(size):
    crop = random_crop.RandomCrop((0.9, 1.0), RATIO)
    box = crop.box(*size, (0, 0))
    i, j, h, w = crop_of_torchvision(
        *size, np.random.default_rng(0), (0.9, 1.0)
    )
    assert box == (j, i, j + w, i + h)


def test_the_seed_decides():
    crop = random_crop.RandomCrop(SCALE, RATIO)
    box = crop.box(500, 375, (1, 2))
    assert crop.box(500, 375, (1, 2)) == box
    assert crop.box(500, 375, (2, 1)) != box
    assert crop.box(500, 375, (1, 3)) != box


@pytest.mark.parametrize("ratio", [RATIO, (2.0, 3.0), (0.3, 0.4)])
def test_crops_of_images_of_sufficient_sides_are_large_enough(ratio):
    crop = random_crop.RandomCrop(SCALE, ratio)
    side = crop.sufficient_side(32)
    for size in ((side, side), (side, 4 * side), (4 * side, side)):
        found = crops(*size, 500, SCALE, ratio)
        assert found[:, 2:].min() >= 32
    found = crops(side // 2, side // 2, 500, SCALE, ratio)
    assert found[:, 2:].min() < 32


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"scale": 0.5}, TypeError, r"`\(low, high\)`.*crop_scale=0.5"),
        ({"scale": (0.0, 1.0)}, ValueError, r"above 0.*crop_scale=\(0.0, 1.0"),
        ({"scale": (0.5, 0.2)}, ValueError, r"crop_scale=\(0.5, 0.2\)"),
        ({"scale": (0.5, 1.5)}, ValueError, r"at most 1.*\(0.5, 1.5\)"),
        ({"scale": (0.5,)}, ValueError, r"crop_scale=\(0.5,\)"),
        ({"scale": (0.5, "1")}, ValueError, r"crop_scale=\(0.5, '1'\)"),
        ({"scale": (0.5, float("nan"))}, ValueError, "crop_scale"),
        ({"ratio": (0.0, 1.0)}, ValueError, r"crop_ratio=\(0.0, 1.0\)"),
        ({"ratio": (1.0, float("inf"))}, ValueError, "crop_ratio"),
        ({"ratio": None}, TypeError, "crop_ratio=None"),
        ({"scale": None, "ratio": (2, 1)}, ValueError, r"crop_ratio=\(2, 1\)"),
    ],
)
def test_refuses_ranges_that_cannot_be(changes, error, message):
    with pytest.raises(error, match=message):
        random_crop.checked(**{"scale": SCALE, "ratio": RATIO, **changes})


def test_ranges_may_be_lists_of_whole_numbers():
    crop = random_crop.checked([0.5, 1], [1, 1])
    assert crop == random_crop.RandomCrop((0.5, 1.0), (1.0, 1.0))
    assert random_crop.checked(None, RATIO) is None
