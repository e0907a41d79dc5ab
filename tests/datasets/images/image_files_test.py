import numpy as np
import pytest
from PIL import Image

from keras_drift.datasets.images import image_files

pytestmark = pytest.mark.backend_free

TURNED = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    # Shown turned clockwise, so stored turned the other way.
    6: lambda x: np.rot90(x, 1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x, -1),
}


def picture(height, width, seed=0, low=0, high=256):
    rng = np.random.default_rng(seed)
    return rng.integers(low, high, (height, width, 3), "uint8")


def crop_of_the_release(image, size):
    """As in the release, which has it from ADM."""
    while min(*image.size) >= 2 * size:
        image = image.resize(
            tuple(x // 2 for x in image.size), resample=Image.Resampling.BOX
        )
    scale = size / min(*image.size)
    image = image.resize(
        tuple(round(x * scale) for x in image.size),
        resample=Image.Resampling.BICUBIC,
    )
    pixels = np.array(image)
    y = (pixels.shape[0] - size) // 2
    x = (pixels.shape[1] - size) // 2
    return pixels[y : y + size, x : x + size]


def box(x):
    return 1.0 * ((x > -0.5) & (x <= 0.5))


def bicubic(x, a=-0.5):
    x = np.abs(x)
    inner = (a + 2) * x**3 - (a + 3) * x**2 + 1
    outer = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x < 1, inner, np.where(x < 2, outer, 0))


def bilinear(x):
    return np.maximum(1 - np.abs(x), 0)


def lanczos(x):
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)


FILTERS = {
    "bilinear": bilinear,
    "bicubic": bicubic,
    "lanczos3": lanczos,
}


def resampled(pixels, size, kernel):
    """A separable filter, as wide as the reduction asks for, in float64."""
    for axis in (0, 1):
        source, target = pixels.shape[axis], size[axis]
        ratio = source / target
        centers = (np.arange(target)[:, None] + 0.5) * ratio
        weights = kernel((np.arange(source) + 0.5 - centers) / max(ratio, 1))
        weights /= weights.sum(1, keepdims=True)
        pixels = np.moveaxis(np.tensordot(weights, pixels, (1, axis)), 0, axis)
    return pixels


def crop_by_definition(pixels, height, width, kernel=bicubic):
    pixels = pixels.astype("float64")
    while pixels.shape[0] >= 2 * height and pixels.shape[1] >= 2 * width:
        halves = pixels.shape[0] // 2, pixels.shape[1] // 2
        pixels = resampled(pixels, halves, box)
    scale = max(height / pixels.shape[0], width / pixels.shape[1])
    size = [round(side * scale) for side in pixels.shape[:2]]
    pixels = resampled(pixels, size, kernel)
    y, x = (size[0] - height) // 2, (size[1] - width) // 2
    return pixels[y : y + height, x : x + width]


SIZES = [
    (48, 64),
    (64, 48),
    (33, 50),
    (50, 33),
    (65, 130),
    (131, 97),
    (140, 300),
    (400, 130),
    (20, 27),
    (27, 20),
    (32, 32),
    (63, 63),
]


@pytest.mark.parametrize("size", SIZES)
def test_crop_is_that_of_the_release(size):
    image = Image.fromarray(picture(*size))
    found = np.asarray(image_files.center_crop(image, 32, 32)).astype(int)
    difference = np.abs(found - crop_of_the_release(image, 32))
    assert difference.max() <= 1
    assert difference.mean() <= 2e-3


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("crop", [(32, 32), (24, 40), (40, 20)])
@pytest.mark.parametrize("size", SIZES)
def test_crop_follows_its_definition(size, crop, interpolation):
    # Far from black and white, where overshoot would be cut off.
    pixels = picture(*size, low=90, high=160)
    found = image_files.center_crop(
        Image.fromarray(pixels), *crop, interpolation
    )
    difference = np.asarray(found) - crop_by_definition(
        pixels, *crop, FILTERS[interpolation]
    )
    # Up to six passes round to whole levels, and means of two always up.
    assert np.abs(difference).max() <= 3
    assert np.abs(difference).mean() <= 1.1


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("size", SIZES)
def test_only_what_a_filter_reaches_is_cut_off(size, interpolation):
    image = Image.fromarray(picture(*size))
    crop = image_files.center_crop(image, 32, 32, interpolation)
    # A crop of the whole image, resized by Pillow as one.
    while min(*image.size) >= 64:
        halves = tuple(side // 2 for side in image.size)
        image = image.resize(halves, Image.Resampling.BOX)
    scale = 32 / min(*image.size)
    resample = Image.Resampling[image_files.INTERPOLATIONS[interpolation][0]]
    whole = image.resize([round(x * scale) for x in image.size], resample)
    x, y = ((side - 32) // 2 for side in whole.size)
    expected = np.asarray(whole).astype(int)[y : y + 32, x : x + 32]
    difference = np.abs(np.asarray(crop) - expected)
    assert difference.max() <= 1
    assert difference.mean() <= 0.02  # halves, rounded to either side


def read(path, size, channels=3, **options):
    pixels = image_files.read_image(str(path), (*size, channels), **options)
    assert pixels.dtype == "uint8"
    assert pixels.shape == (*size, channels)
    return pixels


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation, suffix):
    # Smooth, so that JPEG keeps it; the crop is off center by half a pixel.
    y, x = np.mgrid[0:35, 0:24]
    upright = np.stack([7 * y, 10 * x, 3 * x + 2 * y], -1).astype("uint8")
    image = Image.fromarray(TURNED[orientation](upright))
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"lossless": True} if suffix == "webp" else {}
    path = tmp_path / f"image.{suffix}"
    image.save(path, exif=exif, quality=100, **lossless)
    expected = crop_of_the_release(Image.fromarray(upright), 24)
    difference = read(path, (24, 24)).astype(int) - expected
    assert np.abs(difference).max() <= (20 if suffix == "jpg" else 1)
    assert np.abs(difference).mean() <= (3 if suffix == "jpg" else 0.01)


def test_damaged_exif_data_turn_nothing(tmp_path):
    pixels = picture(16, 16)
    path = tmp_path / "image.png"
    Image.fromarray(pixels).save(path, exif=b"Exif\0\0MM\0*garbage")
    np.testing.assert_array_equal(read(path, (16, 16)), pixels)


def test_sixteen_bits_are_scaled(tmp_path):
    levels = np.random.default_rng(0).integers(0, 65536, 256, "uint16")
    levels[:2] = 0, 65535
    path = tmp_path / "image.png"
    Image.fromarray(levels.reshape(16, 16)).save(path)
    expected = np.rint(levels / 257).reshape(16, 16, 1)
    np.testing.assert_array_equal(read(path, (16, 16), 1), expected)
    np.testing.assert_array_equal(
        read(path, (16, 16)), np.repeat(expected, 3, -1)
    )


def test_modes_become_color(tmp_path):
    pixels = picture(16, 16)
    image = Image.fromarray(pixels)
    gray = np.asarray(image.convert("L"))[..., None]
    palette = image.quantize(200)
    bits = np.asarray(image.convert("1"))[..., None] * 255
    for saved, expected in (
        (image, pixels),
        (image.convert("L"), gray.repeat(3, -1)),
        (palette, np.asarray(palette.convert("RGB"))),
        (image.convert("1"), bits.repeat(3, -1)),
    ):
        saved.save(tmp_path / "image.png")
        found = read(tmp_path / "image.png", (16, 16))
        np.testing.assert_array_equal(found, expected)


def test_color_becomes_gray_by_luminance(tmp_path):
    pixels = picture(16, 16)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    expected = pixels @ np.array([0.299, 0.587, 0.114])
    found = read(tmp_path / "image.png", (16, 16), 1)[..., 0]
    assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize("adobe", [False, True])
def test_cmyk_becomes_color(tmp_path, adobe):
    image = Image.new("RGB", (16, 16), (200, 40, 90)).convert("CMYK")
    path = tmp_path / "image.jpg"
    image.save(path, quality=100)
    if not adobe:  # the marker says that the values are inverted
        data = path.read_bytes()
        assert b"Adobe" in data
    found = read(path, (16, 16)).astype(int)
    assert np.abs(found - [200, 40, 90]).max() <= 3


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_shows_white(tmp_path, mode):
    pixels = np.zeros((16, 16, 4), "uint8")
    pixels[:8, :, 3] = 255
    pixels[8:12, :, 3] = 51 if mode != "P" else 0
    image = Image.fromarray(pixels, "RGBA")
    image = image.quantize(8) if mode == "P" else image.convert(mode)
    image.save(tmp_path / "image.png")
    found = read(tmp_path / "image.png", (16, 16))
    assert np.all(found[:8] == 0)
    assert np.all(found[8:12] == (204 if mode != "P" else 255))
    assert np.all(found[12:] == 255)


def test_a_transparent_color_shows_white(tmp_path):
    pixels = np.zeros((16, 16, 3), "uint8")
    pixels[:8] = 7, 8, 9
    path = tmp_path / "image.png"
    Image.fromarray(pixels).save(path, transparency=(7, 8, 9))
    found = read(path, (16, 16))
    assert np.all(found[:8] == 255)
    assert np.all(found[8:] == 0)


@pytest.mark.parametrize("suffix", ["png", "webp", "gif"])
def test_an_animation_gives_its_first_frame(tmp_path, suffix):
    colors = ["red", "lime", "blue"]
    frames = [Image.new("RGB", (16, 16), color) for color in colors]
    path = tmp_path / f"image.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    found = read(path, (16, 16)).astype(int)
    assert np.abs(found - [255, 0, 0]).max() <= 2


def test_content_decides_not_the_suffix(tmp_path):
    pixels = picture(16, 16)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    path = (tmp_path / "image.png").rename(tmp_path / "image.JPEG")
    np.testing.assert_array_equal(read(path, (16, 16)), pixels)


def test_draft_is_similar_where_the_image_is_smooth(tmp_path):
    y, x = np.mgrid[0:330, 0:260]
    pixels = np.stack([y / 2, x / 2, (x + y) / 4], -1).astype("uint8")
    path = tmp_path / "image.jpg"
    Image.fromarray(pixels).save(path, quality=95)
    draft, full = (read(path, (32, 40), draft=d) for d in (True, False))
    assert np.abs(draft.astype(int) - full).max() <= 6
    # It is used: the image is decoded at a quarter.
    assert np.any(draft != full)


def test_draft_changes_nothing_where_the_crop_needs_all_pixels(tmp_path):
    Image.fromarray(picture(60, 63)).save(tmp_path / "image.jpg")
    draft, full = (
        read(tmp_path / "image.jpg", (32, 32), draft=d) for d in (True, False)
    )
    np.testing.assert_array_equal(draft, full)
