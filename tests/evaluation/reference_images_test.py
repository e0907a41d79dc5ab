import numpy as np
import pytest
from PIL import Image

import user_line
from keras_drift.evaluation.reference_images import ArrayImages
from keras_drift.evaluation.reference_images import images_of

SHAPE = (4, 5, 3)
PIXELS = np.random.default_rng(0).integers(256, size=SHAPE, dtype="uint8")


def save(folder, name, pixels=PIXELS, **options):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def test_reads_all_folders_in_order(tmp_path):
    save(tmp_path, "b/1.png")
    save(tmp_path, "a/2.PNG", 255 - PIXELS)
    save(tmp_path, ".hidden.png", PIXELS[:1])
    (tmp_path / "a/notes.txt").write_text("not an image")
    images = images_of(tmp_path, SHAPE)
    assert len(images) == 2
    expected = [255 - PIXELS, PIXELS]
    np.testing.assert_array_equal(images.read([0, 1]), expected)
    np.testing.assert_array_equal(images.read([1]), expected[1:])


def test_gray_images_and_palettes_become_those_of_the_model(tmp_path):
    gray = PIXELS[..., 0]
    save(tmp_path, "1.png", gray)
    found = images_of(tmp_path, SHAPE).read([0])
    np.testing.assert_array_equal(found, gray[None, ..., None].repeat(3, -1))
    found = images_of(tmp_path, (4, 5, 1)).read([0])
    np.testing.assert_array_equal(found, gray[None, ..., None])


def test_the_digest_is_of_names_and_pixels(tmp_path):
    def digest(folder, name, pixels):
        save(tmp_path / folder, name, pixels)
        return images_of(tmp_path / folder, SHAPE).digest()

    one = digest("one", "1.png", PIXELS)
    assert digest("two", "1.png", PIXELS) == one
    assert digest("three", "2.png", PIXELS) != one
    assert digest("four", "1.png", PIXELS ^ 1) != one


def test_an_image_of_another_size_is_named(tmp_path):
    save(tmp_path, "1.png")
    save(tmp_path, "2.png", PIXELS[:3])
    with pytest.raises(ValueError, match=r"2.png' of size \(3, 5\)"):
        images_of(tmp_path, SHAPE).read([0, 1])
    with pytest.raises(ValueError, match=r"\(8, 8\).*1.png"):
        images_of(tmp_path, (8, 8, 3))


def test_an_unreadable_image_is_named(tmp_path):
    save(tmp_path, "1.png")
    (tmp_path / "2.png").write_bytes((tmp_path / "1.png").read_bytes()[:40])
    with pytest.raises(ValueError, match=r"cannot be read.*2\.png"):
        images_of(tmp_path, SHAPE).read([0, 1])


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(ValueError, match="without images"):
        images_of(tmp_path, SHAPE)


def test_floats_that_look_like_shares_of_white_are_warned_of():
    with user_line.warns(r"2 \* images - 1"):
        ArrayImages(np.full((2, *SHAPE), 0.5), SHAPE)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, *SHAPE), "int64"), "type int64"),
        (np.full((2, *SHAPE), 255.0), "images / 127.5 - 1.*to 255"),
        (np.full((2, *SHAPE), np.nan, "float32"), "not finite"),
        (np.zeros((2, 4, 5, 1), "uint8"), r"\(4, 5, 3\).*\(2, 4, 5, 1\)"),
        (np.zeros(SHAPE, "uint8"), r"reference.shape=\(4, 5, 3\)"),
    ],
)
def test_arrays_of_another_kind_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        ArrayImages(images, SHAPE)
