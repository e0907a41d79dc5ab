"""Files of an `ImageFolder` that cannot be used."""

import os
import pathlib
import shutil
import tempfile
import zlib

import full_disk
import numpy as np
import pytest
from PIL import Image

import keras_drift as kd
import user_line
from image_trees import batches
from image_trees import numbered
from image_trees import numbers
from image_trees import save
from keras_drift.datasets import ImageFolder


def damage(root):
    """Writes ten files that cannot be used; returns `{path: reason}`."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (64, 64, 3))
    reasons = {}

    def add(name, reason, data=None):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if data is not None:
            path.write_bytes(data)
        reasons[str(path)] = reason
        return path

    for suffix in ("jpg", "png", "webp"):
        path = add(f"b/cut.{suffix}", "")
        save(path, pixels)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    add("b/empty.jpg", "empty", b"")
    add("b/text.jpg", "not an image", b"%!PS-Adobe-3.0 EPSF-3.0\nshowpage\n")
    path = add("b/bytes.png", "")
    save(path, pixels)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = rng.bytes(len(data) - len(data) // 2)
    path.write_bytes(data)
    path = add("b/bomb.png", "pixels")  # its header promises more than it has
    save(path, pixels)
    data = bytearray(path.read_bytes())
    data[16:24] = (20_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)
    save(add("b/small.png", "1 x 1 pixels are too few"), pixels[:1, :1])
    os.mkfifo(add("b/pipe.png", "not a regular file"))
    add("b/link.png", "No such file").symlink_to(root / "nowhere.png")
    assert len(reasons) == 10
    return reasons


@pytest.mark.filterwarnings("ignore:Skipped an unreadable")
def test_reports_hostile_files_by_name_and_trains(tmp_path):
    for index in range(40):
        name = "ab"[index % 2]
        pixels = np.random.default_rng(index).integers(0, 256, (20, 30, 3))
        save(tmp_path / name / f"good{index:02d}.jpg", pixels)
    reasons = damage(tmp_path)
    folder = ImageFolder(tmp_path, 16, unreadable_share=0.2, batch_size=50)
    assert len(folder) == 50
    assert folder.fingerprint  # which waits for no pipe
    images, readable = folder.read(np.arange(50))
    assert set(folder.unreadable) == set(reasons)
    for path, reason in reasons.items():
        assert reason in folder.unreadable[path], path
        assert path not in folder.unreadable[path]
    bad = [path in reasons for path in folder.paths]
    np.testing.assert_array_equal(readable, ~np.array(bad))
    assert not images[~readable].any()
    assert images[readable].reshape(40, -1).any(axis=1).all()
    shown, _ = next(iter(folder))  # more than there are: it skips them
    assert shown.reshape(50, -1).any(axis=1).all()

    labels = folder.labels[readable]
    data = kd.datasets.GroupedDataset(
        images[readable], labels, positives=4, steps_per_epoch=1
    )
    generator = kd.generators.DiT(
        image_shape=(16, 16, 3),
        num_classes=2,
        patch_size=8,
        hidden_dim=8,
        depth=1,
        num_heads=1,
    )
    model = kd.DriftModel(generator, seed=0)
    model.compile("adam")
    history = model.fit(data, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_each_unreadable_file_is_reported_once(tmp_path):
    numbered(tmp_path, 10)
    (tmp_path / "even/000.png").write_bytes(b"")
    folder = ImageFolder(tmp_path, 4, batch_size=9, unreadable_share=0.1)
    with user_line.warns("1 of 10 so far.*000.png.*empty") as w:
        iterator = iter(folder)  # a line of this file
        first = [next(iterator) for _ in range(3)]
    assert len(w) == 1
    assert all(0 not in numbers(images) for images, _ in first)
    folder.read([0])


def test_a_file_without_permission_is_reported():
    # Others may not enter the folder of `tmp_path`.
    root = pathlib.Path(tempfile.mkdtemp())
    try:
        numbered(root, 4)
        root.chmod(0o755)
        folder = ImageFolder(root, 4, unreadable_share=0.25)
        os.chmod(folder.paths[1], 0)
        with (
            full_disk.as_a_user(),
            user_line.warns("001.png: Permission denied"),
        ):
            _, readable = folder.read([0, 1, 2])
        assert readable.tolist() == [True, False, True]
    finally:
        shutil.rmtree(root)


@pytest.mark.filterwarnings("ignore:Skipped an unreadable")
@pytest.mark.parametrize("how", ["read", "iterate"])
def test_stops_where_too_many_files_are_unreadable(tmp_path, how):
    numbered(tmp_path, 20)
    for index in range(3):
        (tmp_path / f"even/{index:03d}.png").write_text("text")

    def use(share):
        folder = ImageFolder(tmp_path, 4, unreadable_share=share, batch_size=9)
        if how == "read":
            folder.read(np.arange(20))
        else:
            batches(folder, 4)

    use(0.15)
    with pytest.raises(ValueError, match=r"3 of 20.*001.png.*share=0.1"):
        use(0.1)


@pytest.mark.filterwarnings("ignore:(Skipped|No image of the class)")
def test_stops_where_nothing_is_readable(tmp_path):
    for name in ("a/0.png", "a/1.png"):
        save(tmp_path / name, np.zeros((4, 4, 3)))
        (tmp_path / name).write_bytes(b"")
    folder = ImageFolder(tmp_path, 4, unreadable_share=1)
    with pytest.raises(ValueError, match="2 of 2 images"):
        next(iter(folder))


@pytest.mark.filterwarnings("ignore:Skipped an unreadable")
def test_loads_what_is_readable(tmp_path):
    numbered(tmp_path, 8)
    folder = ImageFolder(tmp_path, 4)
    images, labels = folder.load()
    assert numbers(images) == [*range(8)]
    labels[0] = 1  # of the caller
    assert folder.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    (tmp_path / "even/001.png").write_bytes(b"")
    images, labels = ImageFolder(tmp_path, 4, unreadable_share=0.5).load()
    assert numbers(images) == [0, 2, 3, 4, 5, 6, 7]
    assert labels.tolist() == [0, 0, 0, 1, 1, 1, 1]


@pytest.mark.filterwarnings("ignore:Skipped an unreadable")
def test_names_a_class_that_has_nothing_readable(tmp_path):
    numbered(tmp_path, 8)
    for path in (tmp_path / "odd").iterdir():
        path.write_bytes(b"")
    folder = ImageFolder(tmp_path, 4, unreadable_share=0.5)
    with user_line.warns("class 'odd'"):
        folder.read(np.arange(8))


@pytest.mark.filterwarnings("ignore:Image size")  # of Pillow, as well
def test_pixels_beyond_the_limit_of_pillow_are_refused(tmp_path, monkeypatch):
    save(tmp_path / "a/0.png", np.zeros((4, 4, 3)))
    save(tmp_path / "a/1.png", np.zeros((8, 9, 3)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 71)
    folder = ImageFolder(tmp_path, 4, unreadable_share=0.5)
    with user_line.warns(r"1.png: .*PIL.Image.MAX_IMAGE"):
        _, readable = folder.read([0, 1])
    assert readable.tolist() == [True, False]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 72)
    assert folder.read([1])[1].all()
