"""Images of a folder with one folder for each class."""

import contextlib
import copy
import functools
import hashlib
import json
import os

import numpy as np

from keras_drift import checks
from keras_drift import fingerprints
from keras_drift import user_warnings
from keras_drift.datasets.arrays import sample_arrays
from keras_drift.datasets.arrays.buffer_pool import BufferPool
from keras_drift.datasets.images import image_augmentation
from keras_drift.datasets.images import image_files
from keras_drift.datasets.images import image_tree
from keras_drift.datasets.images import random_crop
from keras_drift.datasets.images.image_stream import BLOCK_SIZE
from keras_drift.datasets.images.image_stream import ImageReader
from keras_drift.datasets.images.image_stream import ImageStream
from keras_drift.datasets.images.unreadable_files import UnreadableFiles

# Raised when the same files and arguments give other pixels than before.
_VERSION = 1
# Files whose contents the fingerprint reads, of which there may be millions.
_NUM_READ = 64


class ImageFolder:
    """Images of a folder with one folder for each class, decoded as read.

    The layout is that of ImageNet, of `torchvision.datasets.ImageFolder` and of
    `keras.utils.image_dataset_from_directory`: the folders are the classes, in
    alphabetical order, and images may lie in folders within them. Choose it
    for image files. `read` decodes the images asked for; if all of them fit in
    memory, read them once and train from a `GroupedDataset`. Iterating yields
    shuffled batches indefinitely, decoded as they are needed.

    Images are decoded to the center crop of the published models: halved by
    a box filter while they are at least twice as large as the crop, resized by
    a bicubic filter (see `interpolation`) until the shorter side fits, and
    cropped. JPEG, PNG, WebP, GIF and BMP files are recognized by their content.
    Grayscale, CMYK, palettes and 16 bits become 8 bits of the `channels`; EXIF
    orientation is applied; what is transparent becomes white; an animation
    gives its first frame. Color profiles are ignored.

    A file that cannot be used (damaged, empty, of another type, without
    permission, with more pixels than `PIL.Image.MAX_IMAGE_PIXELS`, or so small
    that it would be enlarged 16 times or more) is named in a warning, kept in
    `unreadable`, and skipped. Damage within a JPEG file that its decoder fills
    with gray is not found.

    Batches depend on the seed and the position in the stream of images alone:
    workers and their number change nothing. Iterators of one object share its
    position, which `get_state` returns, also in the middle of an epoch.

    Args:
        directory: path of the folder that holds the class folders.
        image_size: int > 0, or `(height, width)`, of the images in pixels.
        channels: `1` or `3`, for grayscale or color. Defaults to `3`.
        flip: bool, whether batches mirror each image with a probability of one
            half, left to right. Not for letters and digits. Defaults to
            `False`.
        crop_scale: `(low, high)`, floats above 0 and at most 1: batches show a
            random crop of each image instead of the center, with this share of
            its area. The crop of `torchvision.transforms.RandomResizedCrop`;
            that of the published encoders is `(0.2, 1.0)`. Not for images to
            compare samples with. Defaults to `None`, the center crop.
        crop_ratio: `(low, high)`, floats > 0, widths by heights of random crops
            before they are resized. Defaults to `(3 / 4, 4 / 3)`.
        augmentation: Keras layer, such as those of keras-cv, or another
            function of a batch of images in `[-1, 1]`, applied to batches after
            flips. Keras layers are called with `training=True`, and their
            random generators are set from seed and position before each batch;
            for those of keras-cv, that is the global one of TensorFlow.
            Defaults to `None`.
        batch_size: int > 0. Defaults to `64`.
        workers: int >= 0, the processes that decode batches ahead, by grain,
            and the threads of `read`. Zero decodes in the caller's thread,
            without grain. A script needs the usual
            `if __name__ == "__main__":` where processes are started. Defaults
            to `0`.
        seed: int >= 0, the seed of orders, crops, flips and augmentation.
            Defaults to `0`.
        unreadable_share: float from 0 to 1: if a larger share of all files is
            unreadable, reading stops with an error. Defaults to `0.01`.
        draft: bool, whether JPEG files are decoded at half, a quarter or an
            eighth of their size where this covers the crop. That is several
            times as fast for images that are many times as large as the crop,
            and crops are similar to, but not, the standard ones. Defaults to
            `False`.
        interpolation: `"bicubic"`, `"bilinear"` or `"lanczos3"`, the filter
            that resizes images, antialiased where they become smaller.
            `"bilinear"` takes less time. Only `"bicubic"` gives the images that
            the published models saw. Defaults to `"bicubic"`.

    Attributes:
        class_names: list of str, sorted: the names of the labels.
        num_classes: int.
        paths: list of str, of all images, readable or not.
        labels: int32 array, the class of each image. Read-only.
        image_shape: tuple `(height, width, channels)`.
        crop_scale: tuple or `None`, the argument.
        fingerprint: str, which changes with the names and sizes of the files,
            with the contents of 64 of them (always the same ones; all, if there
            are no more), and with the arguments that change what `read`
            returns. A file that others replace at the same size is therefore
            not always noticed in a larger folder. Times of files do not count,
            which a copy of the folder may not keep. Computed when first asked
            for.
        unreadable: dict from path to reason, of the files found unreadable so
            far.

    Raises:
        ValueError: if there is no such directory, no class folder, or a class
            without images; on reading, if too many files are unreadable.

    Example:

    >>> import pathlib
    >>> import tempfile
    >>> from PIL import Image
    >>> from keras_drift import datasets
    >>> directory = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("black", "white"):
    ...     (directory / name).mkdir()
    ...     for index in range(3):
    ...         path = directory / name / f"{index}.png"
    ...         Image.new("RGB", (20, 12), name).save(path)
    >>> folder = datasets.ImageFolder(directory, image_size=8, batch_size=4)
    >>> len(folder), folder.class_names, folder.labels.tolist()
    (6, ['black', 'white'], [0, 0, 0, 1, 1, 1])
    >>> images, readable = folder.read([0, 5])
    >>> images.shape, images[:, 0, 0, 0].tolist(), readable.tolist()
    ((2, 8, 8, 3), [-1.0, 1.0], [True, True])
    >>> images, labels = folder.load()
    >>> images.shape, labels.tolist()
    ((6, 8, 8, 3), [0, 0, 0, 1, 1, 1])
    >>> images, labels = next(iter(folder))
    >>> images.shape, labels.shape
    ((4, 8, 8, 3), (4,))
    >>> folder.get_state()["position"]
    4

    Reference:

    - [Dhariwal and Nichol, 2021](https://arxiv.org/abs/2105.05233), whose code
      has the center crop
    """

    decodes_files = True  # not data that `fit` takes

    def __init__(
        self,
        directory,
        image_size,
        channels=3,
        flip=False,
        crop_scale=None,
        crop_ratio=(3 / 4, 4 / 3),
        augmentation=None,
        batch_size=64,
        workers=0,
        seed=0,
        unreadable_share=0.01,
        draft=False,
        interpolation="bicubic",
    ):
        if not isinstance(directory, (str, os.PathLike)):
            raise TypeError(
                "`directory` must be the path of a folder. "
                f"Received: directory={directory!r}"
            )
        self.directory = os.fspath(directory)
        self.image_shape = (
            *_checked_size(image_size),
            _checked_channels(channels),
        )
        self.flip = checks.boolean("flip", flip)
        self._crop = random_crop.checked(crop_scale, crop_ratio)
        self.augmentation = image_augmentation.checked(augmentation)
        self.batch_size = checks.positive_integer("batch_size", batch_size)
        self.workers = checks.non_negative_integer("workers", workers)
        self.seed = checks.non_negative_integer("seed", seed)
        self.unreadable_share = checks.fraction(
            "unreadable_share", unreadable_share
        )
        self.draft = checks.boolean("draft", draft)
        self.interpolation = checks.choice(
            "interpolation", interpolation, tuple(image_files.INTERPOLATIONS)
        )
        image_files.library()  # fails here if it is not installed

        names, labels = self._list()
        self._names = names
        self.labels = sample_arrays.read_only(labels)
        self.num_classes = len(self.class_names)
        self._unreadable = UnreadableFiles(
            self.paths, labels, self.class_names, self.unreadable_share
        )
        self._position = 0
        self._buffers = BufferPool("float32")

    def _list(self):
        self.class_names, names, labels, irregular = image_tree.list_images(
            self.directory
        )
        self.paths = [os.path.join(self.directory, name) for name in names]
        self._reader = ImageReader(
            self.paths,
            self.image_shape,
            self.draft,
            {os.path.join(self.directory, name) for name in irregular},
            self._crop,
            self.interpolation,
        )
        return names, labels

    def __len__(self):
        return len(self.paths)

    @property
    def unreadable(self):
        return self._unreadable.reasons

    @property
    def crop_scale(self):
        return None if self._crop is None else self._crop.scale

    @functools.cached_property
    def fingerprint(self):
        processing = {
            "version": _VERSION,
            "image_shape": self.image_shape,
            "draft": self.draft,
        }
        if self.interpolation != "bicubic":  # as before there was a choice
            processing["interpolation"] = self.interpolation
        digest = hashlib.sha256(json.dumps(processing).encode())
        for name, path in zip(self._names, self.paths, strict=True):
            # No name contains a zero byte, and no size a slash.
            digest.update(os.fsencode(name) + f"\0{_size(path)}/".encode())
        order = np.random.default_rng(0).permutation(len(self))
        for index in order[:_NUM_READ]:
            digest.update(f"{self._checksum(self.paths[index])}/".encode())
        return digest.hexdigest()

    def _checksum(self, path):
        if path in self._reader.irregular:  # a pipe would block
            return None
        try:
            return fingerprints.of_file(path)
        except OSError:
            return None

    def with_crops(self, crop_scale, crop_ratio=(3 / 4, 4 / 3)):
        """The same images with other random crops.

        The directory is not listed again, which takes minutes for millions of
        files on a network disk. Files found unreadable by one of the two are
        known to the other.

        Args:
            crop_scale: `(low, high)` or `None`, as the argument of the class.
            crop_ratio: `(low, high)`, as the argument of the class. Defaults to
                `(3 / 4, 4 / 3)`.

        Returns:
            An `ImageFolder` with a position of its own, at the beginning.
        """
        other = copy.copy(self)
        other._crop = random_crop.checked(crop_scale, crop_ratio)
        other._reader = self._reader._replace(crop=other._crop)
        other._position = 0
        other._buffers = BufferPool("float32")
        return other

    def read(self, indices, crop_seed=None):
        """Decodes some images, without flips or augmentation.

        Args:
            indices: ints `(n,)` from `0` to `len(folder) - 1`.
            crop_seed: int >= 0, for random crops of `crop_scale`, each decided
                by this seed and the index of the image. Defaults to `None`, the
                center crop.

        Returns:
            A tuple `(images, readable)`: float32 array `(n, height, width,
            channels)` in `[-1, 1]`, zero where an image is not readable; bool
            array `(n,)`.
        """
        indices = self._checked_indices(indices)
        seeds = None
        if crop_seed is not None:
            seeds = self._crop_seeds(crop_seed, indices)
        pixels, readable, reasons = self._reader.read(
            indices, threads=self.workers, seeds=seeds
        )
        self._unreadable.report(indices[~readable], reasons)
        images = np.zeros(pixels.shape, "float32")
        for row in np.flatnonzero(readable):
            _normalize(pixels[row], images[row])
        return images, readable

    def _crop_seeds(self, crop_seed, indices):
        if self._crop is None:
            raise ValueError(
                "`crop_seed` is for folders with random crops, made with "
                "`ImageFolder(..., crop_scale=(0.2, 1.0))`. Received: "
                f"crop_seed={crop_seed!r}, crop_scale=None"
            )
        checks.non_negative_integer("crop_seed", crop_seed)
        # Three numbers: not the crops of batches, which have two.
        return [(crop_seed, int(index), 0) for index in indices]

    def load(self):
        """Decodes all images, for folders that fit in memory.

        Returns:
            A tuple `(images, labels)` of those that are readable: float32 array
            `(n, height, width, channels)` in `[-1, 1]`; int32 array `(n,)`.
        """
        images, readable = self.read(np.arange(len(self)))
        if readable.all():
            return images, self.labels.copy()
        return images[readable], self.labels[readable]

    def __iter__(self):
        while True:
            expected = self._place
            # Closed, so that its processes end.
            with contextlib.closing(self._batches(*expected)) as batches:
                for images, labels, position in batches:
                    if self._place != expected:
                        break  # `set_state`, or another iterator, moved it
                    self._position = position
                    expected = self._place
                    yield images, labels

    @property
    def _place(self):
        return self.seed, self._position

    def get_state(self):
        """The position in the stream of images: a dict that JSON can hold."""
        return {
            "seed": self.seed,
            "position": int(self._position),
            "checksum": self._checksum_of_names,
        }

    def set_state(self, state):
        """Continues where `get_state` was called.

        Args:
            state: dict that `get_state` returned. A folder of the same files
                and arguments then yields the same batches, whatever the number
                of workers, also to iterators that have begun. Other names of
                files or classes are reported by a warning.
        """
        known = {"seed", "position"}
        # Older checkpoints have no checksum.
        if not isinstance(state, dict) or {*state} - {"checksum"} != known:
            raise ValueError(
                "The state of an `ImageFolder` is the dict that its "
                "`get_state` returned, with `seed`, `position` and "
                f"`checksum`. Received: state={state!r}"
            )
        seed = checks.non_negative_integer("seed", state["seed"])
        position = checks.non_negative_integer("position", state["position"])
        self.seed, self._position = seed, position
        if state.get("checksum", self._checksum_of_names) != (
            self._checksum_of_names
        ):
            user_warnings.warn(
                "These are not the files of the checkpoint: names of classes "
                "or images differ, so the order of the images, and perhaps "
                "the number of each class, has changed. Restart the run unless "
                "this was intended. Received: "
                f"{len(self)} images of the classes {self.class_names[:10]}"
            )

    @functools.cached_property
    def _checksum_of_names(self):
        names = os.fsencode("\0".join(self._names))
        return hashlib.sha256(names).hexdigest()

    def _batches(self, seed, position):
        """Yields batches, each with the position after it."""
        first = position // BLOCK_SIZE
        stream = ImageStream(self._reader, seed, self.flip, first)
        images, labels, filled = None, None, 0
        start = position
        for block in stream.blocks(self.workers):
            self._unreadable.report(
                block.indices[~block.readable], block.reasons
            )
            rows = np.flatnonzero(block.readable & (block.positions >= start))
            while len(rows):
                if not filled:
                    shape = (self.batch_size, *self.image_shape)
                    images = self._buffers.empty(shape)
                    labels = np.empty(self.batch_size, "int32")
                taken = rows[: self.batch_size - filled]
                rows = rows[len(taken) :]
                end = filled + len(taken)
                for row, image in zip(taken, images[filled:], strict=False):
                    _normalize(block.images[row], image)
                labels[filled:end] = self.labels[block.indices[taken]]
                filled = end % self.batch_size
                if not filled:
                    if self.augmentation is not None:
                        images = image_augmentation.augment(
                            self.augmentation, images, seed, position
                        )
                    position = int(block.positions[taken[-1]]) + 1
                    yield images, labels, position

    def _checked_indices(self, indices):
        indices = np.asarray(indices)
        if indices.size == 0:
            indices = indices.astype("int64")
        if indices.ndim != 1 or indices.dtype.kind not in "iu":
            raise TypeError(
                "`indices` must be integers `(n,)`. Received: indices of "
                f"shape {indices.shape} and type {indices.dtype}"
            )
        wrong = (indices < 0) | (indices >= len(self))
        if wrong.any():
            raise IndexError(
                f"There are {len(self)} images, counted from 0. Received: "
                f"indices with {indices[wrong][0]}"
            )
        return indices


def _normalize(pixels, image):
    """Writes bytes as floats in `[-1, 1]`; one image fits in the cache."""
    np.divide(pixels, np.float32(127.5), out=image)
    np.subtract(image, np.float32(1), out=image)


def _size(path):
    try:
        return os.stat(path).st_size
    except OSError:  # a broken link
        return -1


def _checked_size(image_size):
    sides = image_size
    if not isinstance(image_size, (tuple, list)):
        sides = (image_size, image_size)
    if len(sides) != 2:
        raise ValueError(
            "`image_size` is one integer, or `(height, width)`; `channels` is "
            f"an argument of its own. Received: image_size={image_size!r}"
        )
    return tuple(checks.positive_integer("image_size", side) for side in sides)


def _checked_channels(channels):
    channels = checks.positive_integer("channels", channels)
    if channels not in (1, 3):
        raise ValueError(
            "`channels` must be 1, for grayscale, or 3, for color. "
            f"Received: channels={channels}"
        )
    return channels
