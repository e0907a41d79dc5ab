"""Images with classes, wherever they are.

A source has `labels`, `class_names`, `fingerprint`, `len(source)` and
`read(indices)`, which returns images in `[-1, 1]` and which of them could be
read: what `datasets.ImageFolder` offers, and `datasets.LatentCache` takes.
"""

import json
import pathlib
import shutil
import zipfile

import keras
import numpy as np

import keras_drift as kd
from keras_drift import atomic_files
from keras_drift import fingerprints
from keras_drift_cli.image_training import processes

_FEWEST = 4  # held-out images: two to compare with two
_CIFAR10 = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
]


class ArraySource:
    """Images in memory.

    Args:
        images: uint8 array `(n, height, width, channels)`.
        labels: ints `(n,)`.
        class_names: list of str.
    """

    def __init__(self, images, labels, class_names):
        self.images = images
        self.labels = np.asarray(labels, "int32")
        self.class_names = list(class_names)
        self.fingerprint = fingerprints.of_arrays(images, self.labels)

    def __len__(self):
        return len(self.images)

    def read(self, indices):
        images = self.images[indices].astype("float32") / 127.5 - 1.0
        return images, np.ones(len(images), bool)


class Subset:
    """Some images of a source.

    Args:
        source: the source.
        indices: ints, which ones.
    """

    def __init__(self, source, indices):
        self.source = source
        self.indices = indices
        self.labels = np.asarray(source.labels)[indices]
        self.class_names = source.class_names
        chosen = fingerprints.of_arrays(np.asarray(indices, "int64"))
        self.fingerprint = f"{source.fingerprint}-{chosen[:16]}"

    def __len__(self):
        return len(self.indices)

    def read(self, indices, **options):
        return self.source.read(self.indices[indices], **options)

    def with_crops(self, crop_scale):
        return Subset(self.source.with_crops(crop_scale), self.indices)


def load(config, folder, crop_scale=None):
    """The training and the held-out images of a configuration.

    Args:
        config: `config.Config`.
        folder: path where archives are unpacked.
        crop_scale: range of the areas of random crops of the training images in
            files; the held-out ones show the center. Defaults to `None`.

    Returns:
        Two sources.
    """
    data = config.data
    # One for each: two archives in different folders may have one name.
    folder = folder / "unpacked"
    source = _source(data, data.path, folder / "training", crop_scale)
    if data.validation_path is not None:
        held_out = _source(data, data.validation_path, folder / "validation")
        _check_held_out(data, source, held_out)
        return source, held_out
    if config.training.banks is not None:
        raise ValueError(
            "With `training.banks` the images are streamed from a folder as a "
            "whole: give the held-out ones in another, --validation FOLDER, "
            "or leave `training.banks` out. Received: no validation images"
        )
    kept, held_out = _split(source.labels, data.held_out, config.seed)
    if len(held_out) < _FEWEST:
        print(
            "Too few images to hold any out: samples are compared with the "
            "images that they are trained on."
        )
        return source, source
    return Subset(source, kept), Subset(source, held_out)


def read_all(source, limit=None, seed=0):
    """Decoded images and labels, at most `limit` of them, in random order."""
    order = np.random.default_rng(seed).permutation(len(source))[:limit]
    images, readable = source.read(order)
    return images[readable], source.labels[order][readable]


def _source(data, path, folder, crop_scale=None):
    if data.source == "mnist":
        return ArraySource(*_mnist(data, path))
    if data.source == "drawn":
        return ArraySource(*_drawn(data))
    if data.source == "cifar10" and path is None:
        return ArraySource(*_cifar10(data))
    if path is None:
        raise ValueError(
            "Where are the images? Give a folder with one folder for each "
            "class, or a zip file of one: --data FOLDER."
        )
    path = pathlib.Path(path).expanduser()
    if path.suffix == ".zip":
        path = _unpacked(path, folder)
    return kd.datasets.ImageFolder(
        path,
        data.image_size,
        channels=data.channels,
        flip=data.flip,
        crop_scale=crop_scale,
        workers=data.workers,
        unreadable_share=data.unreadable_share,
        # The order of the stream: another one in processes that give shares.
        seed=processes.share()[0],
    )


def _check_held_out(data, source, held_out):
    """Refuses validation images of other classes, or too few of them."""
    names, expected = set(held_out.class_names), set(source.class_names)
    if names != expected:
        different = sorted(names ^ expected)[0]
        where = "training" if different in expected else "validation"
        raise ValueError(
            "The classes of the validation images are those of the training "
            f"images, and {different!r} has {where} images only. Received: "
            f"{data.validation_path} with {len(names)} classes, instead of "
            f"{len(expected)}"
        )
    if len(held_out) < _FEWEST:
        raise ValueError(
            f"At least {_FEWEST} validation images are needed. Received: "
            f"{len(held_out)} in {data.validation_path}"
        )


def _unpacked(path, folder):
    """The folder of the images of an archive, which is unpacked once."""
    target = folder / path.stem
    record = folder / f"{path.stem}.fingerprint"
    if target.exists():
        _refuse_another_archive(path, record)
    else:
        partial = folder / f"{path.stem}.partial"
        shutil.rmtree(partial, ignore_errors=True)  # perhaps of another one
        with _opened(path) as archive:
            archive.extractall(partial)
        _write(record, path)
        partial.rename(target)
    # The training images of an archive with both.
    for name in ("train", path.stem):
        if (target / name).is_dir():
            target = target / name
    return target


def _opened(path):
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise ValueError(
            "The images are in a folder, or in a .zip file of one, and this "
            f"one cannot be read. Received: {path} ({error})"
        ) from error


def _fingerprint(path):
    """A checksum of the directory of an archive, not of all its bytes."""
    with _opened(path) as archive:
        entries = [(e.filename, e.file_size, e.CRC) for e in archive.infolist()]
    return fingerprints.of_text(json.dumps(sorted(entries)))


def _write(record, path):
    atomic_files.write_bytes(record, _fingerprint(path).encode())


def _refuse_another_archive(path, record):
    """Refuses an archive that has changed since it was unpacked."""
    if not path.exists():
        return  # its images are here
    if not record.exists():  # unpacked by an earlier version
        _write(record, path)
    if record.read_text("utf-8") != _fingerprint(path):
        raise ValueError(
            "The archive of the images has changed since this run unpacked it: "
            "files were added, removed or changed. Give --run another folder, "
            "or begin again with --redo data, which unpacks the new one. "
            f"Received: {path}"
        )


def _mnist(data, path):
    if path is None:
        (images, labels), _ = keras.datasets.mnist.load_data()
    elif pathlib.Path(path).is_dir():
        raise ValueError(
            "The images of mnist are in one .npz file, with the arrays "
            "'x_train' and 'y_train': --data FILE, or none to download it. For "
            "folders of images there are the configurations folder_small and "
            f"others. Received: the folder {path}"
        )
    else:
        with np.load(path) as arrays:
            images = _first_of(arrays, ("x_train", "images", "x"), path)
            labels = _first_of(arrays, ("y_train", "labels", "y"), path)
    _check_size(data, images.shape[1], 1)
    images = images.reshape(len(images), 28, 28, 1).astype("uint8")
    return images, labels.ravel(), list("0123456789")


def _first_of(arrays, names, path):
    """The array of a file under the first of these names."""
    for name in names:
        if name in arrays:
            return arrays[name]
    raise ValueError(
        f"The file of MNIST holds an array named one of {list(names)}. "
        f"Received: arrays {sorted(arrays)} in {path}"
    )


def _cifar10(data):
    (images, labels), _ = keras.datasets.cifar10.load_data()
    _check_size(data, images.shape[1], 3)
    return images, labels.ravel(), _CIFAR10


def _check_size(data, size, channels):
    if (data.image_size, data.channels) != (size, channels):
        raise ValueError(
            f"The images of {data.source} are {size} pixels wide, with "
            f"{channels} channels. Received: data.image_size="
            f"{data.image_size}, data.channels={data.channels}"
        )


def _drawn(data, classes=4, count=21):
    """Disks, squares, stripes and gradients of random colors and places."""
    rng = np.random.default_rng(0)
    size = data.image_size
    y, x = np.mgrid[:size, :size] / size
    images = []
    for label in np.repeat(np.arange(classes), count):
        ground, color = rng.uniform(0, 255, (2, data.channels))
        u, v = rng.uniform(0.3, 0.7, 2)
        radius = rng.uniform(0.1, 0.3)
        shapes = (
            np.hypot(x - u, y - v) < radius,
            np.maximum(np.abs(x - u), np.abs(y - v)) < radius,
            np.sin((x * u + y * v) * 40) > 0,
            x * u + y * v,
        )
        share = np.asarray(shapes[label], "float64")[..., None]
        images.append(ground + share * (color - ground))
    names = ["disk", "square", "stripes", "gradient"][:classes]
    labels = np.repeat(np.arange(classes), count)
    return np.array(images).astype("uint8"), labels, names


def _split(labels, share, seed):
    """Indices of both parts, of which each class has its share."""
    rng = np.random.default_rng(seed)
    kept, held_out = [], []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        # A class of one image has none to hold out.
        cut = min(int(np.ceil(share * len(members))), len(members) - 1)
        held_out.append(members[:cut])
        kept.append(members[cut:])
    return np.sort(np.concatenate(kept)), np.sort(np.concatenate(held_out))
