import contextlib
import json
import os
import shutil
import sys
import warnings

import keras
import numpy as np
import pytest
from PIL import Image

import user_line
from image_trees import batches
from image_trees import numbered
from image_trees import numbers
from image_trees import save
from keras_drift.datasets import ImageFolder
from keras_drift.datasets.images import image_stream
from keras_drift.datasets.images import random_crop


def equal(one, two):
    return all(
        np.array_equal(x, y)
        for left, right in zip(one, two, strict=True)
        for x, y in zip(left, right, strict=True)
    )


def test_lists_images_and_labels(tmp_path):
    for name in (
        "b/1.png",
        "b/deep/0.PNG",
        "B/x.jpg",
        "B/y.webp",
        "a_b/é.jpeg",
    ):
        save(tmp_path / name, np.zeros((4, 4, 3)))
    save(tmp_path / "a_b/2.bmp", np.zeros((4, 4, 3)))
    (tmp_path / "b/notes.txt").write_text("no image")
    (tmp_path / "list.csv").write_text("no image")
    save(tmp_path / ".hidden/1.png", np.zeros((4, 4, 3)))
    save(tmp_path / "b/._1.png", np.zeros((4, 4, 3)))
    folder = ImageFolder(tmp_path, 4)
    assert folder.class_names == ["B", "a_b", "b"]
    assert folder.num_classes == 3
    names = [os.path.relpath(path, tmp_path) for path in folder.paths]
    assert names == [
        *("B/x.jpg", "B/y.webp"),
        *("a_b/2.bmp", "a_b/é.jpeg"),
        *("b/1.png", "b/deep/0.PNG"),
    ]
    assert folder.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert folder.labels.dtype == "int32"
    assert len(folder) == 6
    assert folder.image_shape == (4, 4, 3)
    assert not folder.unreadable


def test_follows_links_but_not_in_circles(tmp_path):
    numbered(tmp_path / "data", 4)
    root = tmp_path / "linked"
    root.mkdir()
    (root / "even").symlink_to(tmp_path / "data/even")
    (root / "odd").symlink_to(tmp_path / "data/odd")
    (tmp_path / "data/odd/up").symlink_to(tmp_path / "data/odd")
    assert len(ImageFolder(root, 4)) == 4


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("workers", [0, 3])
def test_read_gives_what_the_files_hold(tmp_path, channels, workers):
    folder = ImageFolder(
        numbered(tmp_path, 9), 4, channels, flip=True, workers=workers
    )
    indices = np.array([8, 0, 0, 3])
    images, readable = folder.read(indices)
    assert images.dtype == "float32"
    assert readable.dtype == bool
    assert readable.all()
    expected = np.broadcast_to(
        (indices / 127.5 - 1)[:, None, None, None], (4, 4, 4, channels)
    )
    np.testing.assert_allclose(images, expected, atol=1e-6)
    images, readable = folder.read([])
    assert images.shape == (0, 4, 4, channels)
    assert readable.shape == (0,)


def test_the_ends_of_the_range_are_reached(tmp_path):
    save(tmp_path / "a/0.png", np.zeros((4, 4, 3)))
    save(tmp_path / "a/1.png", np.full((4, 4, 3), 255))
    images, _ = ImageFolder(tmp_path, 4).read([0, 1])
    assert np.all(images[0] == -1)
    assert np.all(images[1] == 1)


def test_image_size_is_height_and_width(tmp_path):
    folder = ImageFolder(numbered(tmp_path, 4), (3, 5), batch_size=2)
    assert folder.image_shape == (3, 5, 3)
    assert next(iter(folder))[0].shape == (2, 3, 5, 3)


@pytest.mark.parametrize(("count", "batch_size"), [(10, 3), (50, 7), (6, 40)])
def test_epochs_show_each_image_once_in_a_new_order(
    tmp_path, count, batch_size
):
    folder = ImageFolder(numbered(tmp_path, count), 4, batch_size=batch_size)
    seen, epochs = [], 4
    for images, labels in batches(folder, -(-epochs * count // batch_size)):
        assert images.shape == (batch_size, 4, 4, 3)
        assert (images.dtype, labels.dtype) == ("float32", "int32")
        shown = numbers(images)
        np.testing.assert_array_equal(labels, np.array(shown) >= count // 2)
        seen += shown
    orders = [seen[i * count : (i + 1) * count] for i in range(epochs)]
    assert all(sorted(order) == list(range(count)) for order in orders)
    assert len(set(map(tuple, orders))) == epochs
    other = ImageFolder(tmp_path, 4, batch_size=count, seed=1)
    assert numbers(next(iter(other))[0]) != orders[0]


def test_the_size_of_batches_does_not_change_the_stream(tmp_path):
    numbered(tmp_path, 10)
    streams = [
        [n for images, _ in batches(folder, steps) for n in numbers(images)]
        for size, steps in ((2, 30), (15, 4))
        for folder in [ImageFolder(tmp_path, 4, batch_size=size)]
    ]
    assert streams[0] == streams[1]


def test_flips_half_of_the_images(tmp_path):
    size, pixels = 40, np.zeros((4, 4, 3))
    for index in range(size):
        pixels[:, 0], pixels[:, 3] = index, 255
        save(tmp_path / f"a/{index:02d}.png", pixels)
    folder = ImageFolder(tmp_path, 4, flip=True, batch_size=size)
    plain, _ = folder.read(np.arange(size))
    choices = []
    for images, _ in batches(folder, 8):
        flipped = images[:, 0, 0, 0] == 1
        restored = np.where(
            flipped[:, None, None, None], images[:, :, ::-1], images
        )
        order = np.argsort(restored[:, 0, 0, 0])
        np.testing.assert_array_equal(restored[order], plain)
        choices.append(flipped[order])
    # 320 coins: a standard deviation of 9.
    assert abs(np.sum(choices) - 160) < 40
    assert len(np.unique(choices, axis=0)) == 8


def photographs(root, count, size=(30, 40)):
    rng = np.random.default_rng(0)
    for index in range(count):
        save(root / f"a/{index:02d}.png", rng.integers(0, 256, (*size, 3)))
    return root


def cropped(path, box, size=8):
    """A crop as torchvision resizes it."""
    image = Image.open(path).crop(box)
    image = image.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image, "float32") / np.float32(127.5) - np.float32(1)


def random_crops(root, workers=0, **options):
    options = {"batch_size": 8, "crop_scale": (0.2, 1.0), **options}
    return ImageFolder(root, 8, workers=workers, **options)


def test_batches_show_random_crops_which_are_others_in_every_epoch(tmp_path):
    folder = random_crops(photographs(tmp_path, 8), seed=3)
    crop = random_crop.RandomCrop((0.2, 1.0), (3 / 4, 4 / 3))
    epochs = []
    for epoch, (images, _) in enumerate(batches(folder, 3)):
        order = []
        for rank, image in enumerate(images):
            box = crop.box(40, 30, (3, 8 * epoch + rank))
            same = [
                np.array_equal(image, cropped(path, box))
                for path in folder.paths
            ]
            assert sum(same) == 1
            order.append(same.index(True))
        assert sorted(order) == list(range(8))
        epochs.append(images[np.argsort(order)])
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.all(np.any(epochs[one] != epochs[other], axis=(1, 2, 3)))


def test_random_crops_are_mirrored_too(tmp_path):
    photographs(tmp_path, 8)
    plain, _ = next(iter(random_crops(tmp_path)))
    images, _ = next(iter(random_crops(tmp_path, flip=True)))
    kept = np.all(images == plain, axis=(1, 2, 3))
    mirrored = np.all(images == plain[:, :, ::-1], axis=(1, 2, 3))
    np.testing.assert_array_equal(kept, ~mirrored)
    assert 0 < mirrored.sum() < 8


def test_the_ratio_of_random_crops_can_be_set(tmp_path):
    rows, columns = np.mgrid[0:64, 0:64]
    pixels = np.stack([4 * rows, 4 * columns, 0 * rows], -1)
    for index in range(16):
        save(tmp_path / f"a/{index:02d}.png", pixels)
    options = {"crop_ratio": (3.0, 4.0), "crop_scale": (0.2, 0.3)}
    images, _ = next(iter(random_crops(tmp_path, batch_size=16, **options)))
    # The gradients tell how many pixels a crop had in each direction.
    wide = (images[:, 0, -1, 1] - images[:, 0, 0, 1]) * 127.5 / 4
    high = (images[:, -1, 0, 0] - images[:, 0, 0, 0]) * 127.5 / 4
    ratios = wide / high
    assert ratios.min() > 2.5
    assert ratios.max() < 4.5


def test_reading_gives_center_crops_unless_a_seed_is_given(tmp_path):
    plain = ImageFolder(photographs(tmp_path, 6), 8)
    folder = random_crops(tmp_path)
    indices = np.arange(6)
    center, _ = folder.read(indices)
    np.testing.assert_array_equal(center, plain.read(indices)[0])
    np.testing.assert_array_equal(folder.load()[0], center)
    assert folder.fingerprint == plain.fingerprint
    first, _ = folder.read(indices, crop_seed=5)
    again, _ = folder.read(indices[::-1], crop_seed=5)
    np.testing.assert_array_equal(first, again[::-1])
    other, _ = folder.read(indices, crop_seed=6)
    for one, two in ((first, center), (first, other), (other, center)):
        assert np.all(np.any(one != two, axis=(1, 2, 3)))
    with pytest.raises(ValueError, match=r"crop_scale=\(0.2, 1.0\).*seed=5"):
        plain.read(indices, crop_seed=5)
    with pytest.raises(ValueError, match="crop_seed=-1"):
        folder.read(indices, crop_seed=-1)


@pytest.mark.parametrize("scale", [None, (0.2, 0.5)])
def test_other_crops_of_the_same_files(tmp_path, scale):
    folder = random_crops(photographs(tmp_path, 6))
    expected = random_crops(tmp_path, crop_scale=scale)
    before = batches(folder, 1)
    other = folder.with_crops(scale)
    save(tmp_path / "even/new.png", np.zeros((4, 4, 3)))  # not listed again
    assert other.crop_scale == scale
    assert other.paths == expected.paths
    assert equal(batches(other, 3), batches(expected, 3))
    # The first one goes on as it was.
    folder.set_state({**folder.get_state(), "position": 0})
    assert folder.crop_scale != scale
    assert equal(batches(folder, 1), before)


def test_workers_change_no_random_crop(tmp_path):
    photographs(tmp_path, 30)
    expected = batches(random_crops(tmp_path, flip=True), 8)
    found = batches(random_crops(tmp_path, workers=2, flip=True), 8)
    assert equal(found, expected)


def test_random_crops_go_on_in_the_middle_of_an_epoch(tmp_path):
    folder = random_crops(photographs(tmp_path, 30), seed=1)
    batches(folder, 2)
    state = json.loads(json.dumps(folder.get_state()))
    expected = batches(folder, 3)
    other = random_crops(tmp_path, seed=9)
    other.set_state(state)
    assert equal(batches(other, 3), expected)


def test_drafts_are_large_enough_for_random_crops(tmp_path):
    # Stripes of one pixel, which a draft blurs to gray.
    pixels = np.zeros((60, 60, 3))
    pixels[:, ::2] = 255
    for index in range(8):
        save(tmp_path / f"a/{index}.jpg", pixels, quality=100)
    options = {"draft": True, "crop_scale": (0.02, 0.021)}
    full, _ = next(iter(random_crops(tmp_path, **options)))
    assert np.abs(full).mean() > 0.5
    center, _ = ImageFolder(tmp_path, 8, draft=True).read([0])
    assert np.abs(center).mean() < 0.1


def test_ranges_of_random_crops_are_checked(tmp_path):
    photographs(tmp_path, 2)
    with pytest.raises(ValueError, match=r"crop_scale=\(0.5, 1.5\)"):
        random_crops(tmp_path, crop_scale=(0.5, 1.5))
    with pytest.raises(ValueError, match=r"crop_ratio=\(2, 1\)"):
        random_crops(tmp_path, crop_ratio=(2, 1))


def augmentation():
    return keras.Sequential(
        [
            keras.layers.RandomBrightness(0.4, value_range=(-1, 1)),
            keras.layers.GaussianNoise(0.1),
        ]
    )


@pytest.mark.filterwarnings("ignore:Skipped an unreadable")
@pytest.mark.parametrize("augmented", [False, True])
def test_state_restores_the_batches_in_the_middle_of_an_epoch(
    tmp_path, augmented
):
    numbered(tmp_path, 45)
    for index in (7, 30):
        (tmp_path / f"odd/{index:03d}.png").write_bytes(b"")
        (tmp_path / f"odd/{index:03d}x.png").write_bytes(b"")

    def make(seed):
        return ImageFolder(
            tmp_path,
            4,
            flip=True,
            augmentation=augmentation() if augmented else None,
            batch_size=8,
            seed=seed,
            unreadable_share=0.2,
        )

    first = make(3)
    expected, states = [], [first.get_state()]
    for batch in first:
        expected.append(batch)
        states.append(json.loads(json.dumps(first.get_state())))
        if len(expected) == 14:
            break
    assert len({images.tobytes() for images, _ in expected}) == 14
    for position in (0, 3, 7, 11):
        second = make(9)
        second.set_state(states[position])
        assert equal(batches(second, 3), expected[position : position + 3])
    # An iterator that has begun follows.
    iterator = iter(second)
    next(iterator)
    second.set_state(states[2])
    assert equal([next(iterator)], expected[2:3])
    assert second.get_state() == states[3]


def test_iterators_share_the_position(tmp_path):
    folder = ImageFolder(numbered(tmp_path, 12), 4, batch_size=3)
    first, second = iter(folder), iter(folder)
    seen = [n for i in (first, second) * 2 for n in numbers(next(i)[0])]
    assert sorted(seen) == list(range(12))


@pytest.mark.filterwarnings("ignore:Skipped an unreadable")
def test_workers_change_nothing(tmp_path):
    numbered(tmp_path, 70)
    (tmp_path / "odd/040.png").write_bytes(b"")
    options = {"flip": True, "batch_size": 24, "unreadable_share": 0.1}
    alone, helped = (
        ImageFolder(tmp_path, 4, workers=workers, **options)
        for workers in (0, 2)
    )
    expected = batches(alone, 8)
    with contextlib.closing(iter(helped)) as iterator:
        found = [next(iterator) for _ in range(5)]
        assert equal(found, expected[:5])
        assert helped.get_state() != alone.get_state()
        middle = helped.get_state()
    assert helped.unreadable == alone.unreadable
    alone.set_state(middle)
    assert equal(batches(alone, 3), expected[5:])


def test_workers_need_grain(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "grain", None)
    folder = ImageFolder(numbered(tmp_path, 4), 4, workers=1)
    with pytest.raises(ModuleNotFoundError, match=r"keras-drift\[imagenet\]"):
        next(iter(folder))
    folder.workers = 0
    next(iter(folder))


def test_says_that_pillow_is_missing(tmp_path, monkeypatch):
    numbered(tmp_path, 4)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ModuleNotFoundError, match=r"Pillow.*\[examples\]"):
        ImageFolder(tmp_path, 4)


def test_a_block_does_not_depend_on_the_one_before(tmp_path):
    folder = ImageFolder(numbered(tmp_path, 10), 4, flip=True)
    stream = image_stream.ImageStream(folder._reader, 0, True, 0)
    later = image_stream.ImageStream(folder._reader, 0, True, 5)
    assert equal([stream[7][:4]], [later[2][:4]])


def test_augmentation_is_applied_to_batches_only(tmp_path):
    numbered(tmp_path, 6)

    def darken(images):
        assert images.shape == (6, 4, 4, 3)
        return keras.ops.convert_to_tensor(images) - 1.0

    folder = ImageFolder(tmp_path, 4, augmentation=darken, batch_size=6)
    images, _ = next(iter(folder))
    assert type(images) is np.ndarray
    assert images.dtype == "float32"
    assert sorted(numbers(images + 1)) == list(range(6))
    assert numbers(folder.read([2])[0]) == [2]


def test_random_layers_augment_in_training_mode(tmp_path):
    numbered(tmp_path, 6)
    folder = ImageFolder(tmp_path, 4, augmentation=augmentation(), batch_size=6)
    images = np.concatenate([images for images, _ in batches(folder, 4)])
    assert len(np.unique(images[:, 0, 0, 0])) == 24
    assert np.abs(images).max() < 2


@pytest.mark.slow  # importing keras-cv
def test_augments_by_keras_cv(tmp_path):
    keras_cv = pytest.importorskip("keras_cv")
    numbered(tmp_path, 6)
    layer = keras_cv.layers.RandomBrightness(0.5, value_range=(-1, 1))
    folder = ImageFolder(tmp_path, 4, augmentation=layer, batch_size=6)
    start = folder.get_state()
    first = batches(folder, 2)
    folder.set_state(start)
    assert equal(batches(folder, 2), first)
    assert len(np.unique(first[0][0][:, 0, 0, 0])) > 1


def test_augmentation_must_keep_the_shape(tmp_path):
    folder = ImageFolder(
        numbered(tmp_path, 4), 4, augmentation=lambda x: x[:, :2]
    )
    with pytest.raises(ValueError, match=r"shape \(64, 2, 4, 3\)"):
        next(iter(folder))


def test_fingerprint_follows_files_and_processing(tmp_path):
    numbered(tmp_path / "data", 6)

    def found(root=tmp_path / "data", image_size=4, **options):
        return ImageFolder(root, image_size, **options).fingerprint

    first = found()
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    options = {"flip": True, "batch_size": 2, "seed": 5, "workers": 1}
    assert found(tmp_path / "copy", **options) == first
    others = {
        found(image_size=8),
        found(image_size=(4, 8)),
        found(image_size=(8, 4)),
        found(channels=1),
        found(draft=True),
        found(interpolation="bilinear"),
        found(interpolation="lanczos3"),
    }
    path = tmp_path / "data/odd/003.png"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"\1")  # as many bytes
    others.add(found())
    path.write_bytes(content + b"\0")
    others.add(found())
    path.rename(tmp_path / "data/odd/003a.png")
    others.add(found())
    (tmp_path / "data/odd/003a.png").unlink()
    others.add(found())
    assert len(others - {first}) == 11


def test_fingerprint_reads_some_of_many_files(tmp_path):
    numbered(tmp_path / "data", 200)
    first = ImageFolder(tmp_path / "data", 4).fingerprint
    for path in (tmp_path / "data").rglob("*.png"):
        content = path.read_bytes()
        path.write_bytes(content[:-1] + b"\1")
    folder = ImageFolder(tmp_path / "data", 4)
    assert folder.fingerprint != first
    # Each of them once, whatever the seed.
    again = ImageFolder(tmp_path / "data", 4, seed=1).fingerprint
    assert again == folder.fingerprint


@pytest.mark.parametrize("crop_scale", [None, (0.2, 0.9)])
def test_interpolation_is_used(tmp_path, crop_scale):
    photographs(tmp_path, 4)
    batches, reads = [], []
    for interpolation in ("bicubic", "bilinear", "lanczos3"):
        options = {"interpolation": interpolation, "crop_scale": crop_scale}
        folder = ImageFolder(tmp_path, 8, batch_size=4, **options)
        batches.append(next(iter(folder))[0])
        seed = None if crop_scale is None else 0
        reads.append(folder.read(np.arange(4), crop_seed=seed)[0])
    for images in (batches, reads):
        assert len({each.tobytes() for each in images}) == 3


def test_draft_is_used(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3))
    for index in range(2):
        save(tmp_path / f"a/{index}.jpg", pixels)
    full, _ = ImageFolder(tmp_path, 16).read([0])
    draft, _ = ImageFolder(tmp_path, 16, draft=True).read([0])
    assert np.any(full != draft)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "no images in the folders"),
        (["a/notes.txt"], "no images in the folders"),
        (["0.png", "1.png"], "directory itself, such as '[01].png'"),
        (["a/0.png", "b/notes.txt", "c/.0.png"], "2 of 3.*'b', 'c'"),
    ],
)
def test_names_a_layout_that_cannot_be(tmp_path, files, message):
    for name in files:
        save(tmp_path / "image.png", np.zeros((4, 4, 3)))
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / "image.png").rename(tmp_path / name)
    with pytest.raises(ValueError, match=f"(?s){message}.*directory="):
        ImageFolder(tmp_path, 4)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["a/0.png", "a/1.png", "b/0.png"], "1 of 2 classes .*one.*'b'"),
        (["a/0.png", "a/1.png", "0.png"], "1 images that lie in"),
        (["a/0.png", "a/1.png", "a/0.tiff"], "types.*'a/0.tiff'"),
        (["train/0.png", "train/1.png", "val/0.png", "val/1.png"], "parts"),
    ],
)
def test_warns_of_a_layout_that_may_be_a_mistake(tmp_path, files, message):
    for name in files:
        save(tmp_path / name, np.zeros((4, 4, 3)))
    with user_line.warns(message) as warned:
        ImageFolder(tmp_path, 4)
    assert len(warned) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"directory": "/nowhere"}, ValueError, "directory='/nowhere'"),
        ({"directory": 3}, TypeError, "directory=3"),
        ({"image_size": 0}, ValueError, "image_size=0"),
        ({"image_size": 2.5}, TypeError, "image_size=2.5"),
        ({"image_size": (4, 4, 3)}, ValueError, "channels"),
        ({"channels": 4}, ValueError, "channels=4"),
        ({"flip": 0.5}, TypeError, "flip=0.5"),
        ({"augmentation": "flip"}, TypeError, "augmentation='flip'"),
        ({"batch_size": 0}, ValueError, "batch_size=0"),
        ({"workers": -1}, ValueError, "workers=-1"),
        ({"seed": None}, TypeError, "seed=None"),
        ({"unreadable_share": 2}, ValueError, "unreadable_share=2"),
        ({"draft": 1}, TypeError, "draft=1"),
        ({"interpolation": "lanczos"}, ValueError, "Did you mean 'lanczos3'"),
        ({"interpolation": None}, ValueError, "interpolation=None"),
    ],
)
def test_names_an_argument_that_cannot_be(tmp_path, arguments, error, message):
    numbered(tmp_path, 4)
    with pytest.raises(error, match=message):
        ImageFolder(**{"directory": tmp_path, "image_size": 4, **arguments})


@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        ([4], IndexError, "4 images.*with 4"),
        ([-1], IndexError, "with -1"),
        ([0.5], TypeError, "float64"),
        (0, TypeError, r"shape \(\)"),
        ([True] * 4, TypeError, "bool"),
    ],
)
def test_names_indices_that_cannot_be(tmp_path, indices, error, message):
    folder = ImageFolder(numbered(tmp_path, 4), 4)
    with pytest.raises(error, match=message):
        folder.read(indices)


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        (3, ValueError, "get_state.*state=3"),
        ({"seed": 1, "epoch": 1}, ValueError, "'epoch': 1"),
        ({"seed": 1, "position": -1}, ValueError, "position=-1"),
        ({"seed": 1.5, "position": 1}, TypeError, "seed=1.5"),
    ],
)
def test_names_a_state_of_something_else(tmp_path, state, error, message):
    folder = ImageFolder(numbered(tmp_path, 4), 4)
    with pytest.raises(error, match=message):
        folder.set_state(state)
    state = folder.get_state()
    assert state["seed"] == state["position"] == 0


def test_files_that_were_renamed_are_noticed(tmp_path):
    """Their classes have other numbers, and their images another order."""
    photographs(tmp_path / "data", 4)
    shutil.copytree(tmp_path / "data/a", tmp_path / "data/b")
    state = json.loads(
        json.dumps(ImageFolder(tmp_path / "data", 8).get_state())
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ImageFolder(tmp_path / "data", 4, seed=3).set_state(state)
        del state["checksum"]  # of an older checkpoint
        ImageFolder(tmp_path / "data", 8).set_state(state)
    state = ImageFolder(tmp_path / "data", 8).get_state()
    (tmp_path / "data/a").rename(tmp_path / "data/c")
    with user_line.warns(r"not the files of the checkpoint.*\['b', 'c'\]"):
        ImageFolder(tmp_path / "data", 8).set_state(state)
