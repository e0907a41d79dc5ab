import pathlib
import shutil
import zipfile

import full_disk
import numpy as np
import pytest
from PIL import Image

from keras_drift_cli.image_training import config as configs
from keras_drift_cli.image_training import sources


def config(**data):
    return configs.Config(seed=3, data=configs.Data(**data))


def tree(folder, classes=("cat", "dog"), count=5):
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            pixels = np.full((12, 9, 3), 40 * label + i, "uint8")
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def test_drawn_pictures_are_the_same_whenever_they_are_drawn(tmp_path):
    settings = config(source="drawn", image_size=16)
    one, other = (sources.load(settings, tmp_path)[0] for _ in range(2))
    assert one.fingerprint == other.fingerprint
    images, readable = one.read(np.arange(4))
    assert images.shape == (4, 16, 16, 3)
    assert images.dtype == np.float32
    assert np.abs(images).max() <= 1
    assert readable.all()


def test_held_out_images_are_of_every_class_and_not_trained_on(tmp_path):
    settings = config(source="drawn", image_size=16, held_out=0.25)
    training, held_out = sources.load(settings, tmp_path)
    assert np.bincount(training.labels).tolist() == [15] * 4
    assert np.bincount(held_out.labels).tolist() == [6] * 4
    kept, others = set(training.indices), set(held_out.indices)
    assert not kept & others
    assert len(kept | others) == 84


def test_a_class_of_one_image_is_trained_on(tmp_path):
    labels = np.array([0, 1, 1])
    kept, held_out = sources._split(labels, 0.5, seed=0)
    assert 0 in kept
    assert len(held_out) == 1


def test_a_subset_has_a_fingerprint_of_its_own(tmp_path):
    whole = sources.ArraySource(np.zeros((4, 2, 2, 3), "uint8"), [0] * 4, ["a"])
    one, other = (
        sources.Subset(whole, np.array(kept)) for kept in ([0, 1], [0, 2])
    )
    assert one.fingerprint != other.fingerprint


def test_reads_a_folder_and_an_archive_of_it(tmp_path):
    folder = tree(tmp_path / "pets" / "train")
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, path.relative_to(tmp_path / "pets"))
    read = []
    for path in (folder, tmp_path / "pets.zip"):
        settings = config(path=str(path), image_size=8, workers=0, held_out=0.2)
        training, _ = sources.load(settings, tmp_path / "run")
        assert training.class_names == ["cat", "dog"]
        read.append(sources.read_all(training))
    np.testing.assert_array_equal(read[0][0], read[1][0])
    np.testing.assert_array_equal(read[0][1], read[1][1])


def test_only_training_images_have_random_crops(tmp_path):
    options = {"image_size": 8, "workers": 0}
    folder = str(tmp_path / "a")
    rng = np.random.default_rng(0)
    for path in tree(tmp_path / "a").rglob("*.png"):
        pixels = rng.integers(0, 256, (12, 9, 3), "uint8")
        Image.fromarray(pixels).save(path)
    whole, held_out = sources.load(
        config(path=folder, validation_path=folder, **options),
        tmp_path,
        [0.2, 1.0],
    )
    assert whole.crop_scale == (0.2, 1.0)
    assert held_out.crop_scale is None
    training, other = sources.load(
        config(path=folder, held_out=0.5, **options), tmp_path, [0.2, 1.0]
    )
    # A share of the same folder: `read` gives center crops.
    np.testing.assert_array_equal(
        other.read(np.arange(6))[0], held_out.read(other.indices)[0]
    )
    np.testing.assert_array_equal(
        training.read(np.arange(4), crop_seed=1)[0],
        whole.read(training.indices[:4], crop_seed=1)[0],
    )


def test_validation_images_have_the_same_classes(tmp_path):
    settings = config(
        path=str(tree(tmp_path / "a")),
        validation_path=str(tree(tmp_path / "b", ("cat",))),
        image_size=8,
        workers=0,
    )
    with pytest.raises(ValueError, match="1 classes, instead of 2"):
        sources.load(settings, tmp_path)


@pytest.mark.parametrize("names", [("x", "y"), ("x_train", "y_train")])
def test_reads_digits_from_a_file(tmp_path, names):
    images = np.arange(20 * 784, dtype="uint8").reshape(20, 28, 28)
    labels = np.arange(20) % 10
    np.savez(
        tmp_path / "digits.npz",
        **dict(zip(names, (images, labels), strict=True)),
    )
    settings = config(
        source="mnist",
        path=str(tmp_path / "digits.npz"),
        image_size=28,
        channels=1,
        held_out=0.5,
    )
    training, _ = sources.load(settings, tmp_path)
    found, _ = training.read(np.arange(10))
    expected = images[training.indices, ..., None] / 127.5 - 1
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_wrong_size_is_an_error(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.zeros((2, 28, 28)), y=[0, 1])
    settings = config(source="mnist", path=str(tmp_path / "d.npz"))
    with pytest.raises(ValueError, match="28 pixels wide, with 1 channels"):
        sources.load(settings, tmp_path)


def test_a_file_without_the_arrays_is_an_error(tmp_path):
    np.savez(tmp_path / "d.npz", pixels=np.zeros((2, 28, 28)), y=[0, 1])
    settings = config(source="mnist", path=str(tmp_path / "d.npz"))
    with pytest.raises(ValueError, match=r"x_train.*Received: .*'pixels'"):
        sources.load(settings, tmp_path)


def test_other_crops_of_the_training_images_need_no_second_list(tmp_path):
    folder = tree(tmp_path / "a", count=20)
    settings = config(path=str(folder), held_out=0.5, image_size=8, workers=0)
    training, _ = sources.load(settings, tmp_path)
    expected, _ = sources.load(settings, tmp_path, [0.2, 1.0])
    shutil.copytree(folder / "cat", folder / "fox")
    found = training.with_crops([0.2, 1.0])
    assert found.fingerprint == training.fingerprint
    for one, two in zip(
        found.read(np.arange(5), crop_seed=1),
        expected.read(np.arange(5), crop_seed=1),
        strict=True,
    ):
        np.testing.assert_array_equal(one, two)


def test_without_images_the_error_says_how_to_give_them(tmp_path):
    with pytest.raises(ValueError, match="--data FOLDER"):
        sources.load(config(), tmp_path)


def zipped(folder, path):
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.png")):
            archive.write(file, file.relative_to(folder))
    return str(path)


def test_archives_of_one_name_are_kept_apart(tmp_path):
    one = zipped(tree(tmp_path / "one"), tmp_path / "a/images.zip")
    two = zipped(tree(tmp_path / "two", count=9), tmp_path / "b/images.zip")
    settings = config(path=one, validation_path=two, image_size=8)
    training, held_out = sources.load(settings, tmp_path / "run")
    assert (len(training), len(held_out)) == (10, 18)


def test_validation_images_of_other_classes_are_named(tmp_path):
    one = tree(tmp_path / "one")
    two = tree(tmp_path / "two", classes=("cat", "fox"))
    settings = config(path=str(one), validation_path=str(two), image_size=8)
    with pytest.raises(ValueError, match="'dog' has training images only"):
        sources.load(settings, tmp_path)


@pytest.mark.filterwarnings("ignore:2 of 2 classes have one image")
def test_few_validation_images_are_refused(tmp_path):
    one = tree(tmp_path / "one")
    two = tree(tmp_path / "two", count=1)
    settings = config(path=str(one), validation_path=str(two), image_size=8)
    with pytest.raises(ValueError, match="At least 4 validation images"):
        sources.load(settings, tmp_path)


def exchange_bytes(path):
    """Changes one file of an archive, but neither its name nor its size."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for index, (name, data) in enumerate(files.items()):
            archive.writestr(name, data if index else data[::-1])


def test_an_archive_that_has_changed_is_refused(tmp_path):
    path = zipped(tree(tmp_path / "one"), tmp_path / "a/images.zip")
    settings = config(path=path, image_size=8, workers=0)
    training, _ = sources.load(settings, tmp_path / "run")
    again, _ = sources.load(settings, tmp_path / "run")
    assert again.fingerprint == training.fingerprint
    exchange_bytes(path)
    with pytest.raises(ValueError, match=r"has changed.*--redo data.*images"):
        sources.load(settings, tmp_path / "run")
    exchange_bytes(path)  # as it was
    sources.load(settings, tmp_path / "run")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("cat/notes.txt", "more")
    with pytest.raises(ValueError, match="has changed"):
        sources.load(settings, tmp_path / "run")
    pathlib.Path(path).unlink()  # what was unpacked is enough
    sources.load(settings, tmp_path / "run")


def test_an_archive_without_a_record_is_taken_as_it_is(tmp_path):
    path = zipped(tree(tmp_path / "one"), tmp_path / "a/images.zip")
    settings = config(path=path, image_size=8, workers=0)
    sources.load(settings, tmp_path / "run")
    (record,) = (tmp_path / "run").rglob("*.fingerprint")
    record.unlink()
    sources.load(settings, tmp_path / "run")
    exchange_bytes(path)
    with pytest.raises(ValueError, match="has changed"):
        sources.load(settings, tmp_path / "run")


def test_a_record_that_could_not_be_written_is_written_later(tmp_path):
    path = zipped(tree(tmp_path / "one"), tmp_path / "a/images.zip")
    settings = config(path=path, image_size=8, workers=0)
    sources.load(settings, tmp_path / "run")
    (record,) = (tmp_path / "run").rglob("*.fingerprint")
    record.unlink()
    with full_disk.no_room_for(10), pytest.raises(OSError, match="too large"):
        sources.load(settings, tmp_path / "run")
    sources.load(settings, tmp_path / "run")
    assert record.exists()


def test_what_a_stopped_unpacking_left_is_deleted(tmp_path):
    path = zipped(tree(tmp_path / "one"), tmp_path / "a/images.zip")
    tree(tmp_path / "run/unpacked/training/images.partial", ("fox",))
    settings = config(path=path, image_size=8, workers=0)
    training, _ = sources.load(settings, tmp_path / "run")
    assert training.class_names == ["cat", "dog"]


def test_a_file_that_is_no_archive_is_named(tmp_path):
    (tmp_path / "images.zip").write_text("no archive")
    settings = config(path=str(tmp_path / "images.zip"), image_size=8)
    with pytest.raises(ValueError, match=r"cannot be read.*images\.zip"):
        sources.load(settings, tmp_path / "run")


def test_digits_in_a_folder_are_refused(tmp_path):
    settings = config(source="mnist", path=str(tmp_path))
    with pytest.raises(
        ValueError, match=r"one \.npz file.*Received: the folder"
    ):
        sources.load(settings, tmp_path / "new")
