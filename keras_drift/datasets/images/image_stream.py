"""An endless, shuffled stream of decoded images, in blocks."""

import concurrent.futures
import functools
import importlib
import sys
import typing

import numpy as np

from keras_drift import extras
from keras_drift.datasets.images import image_files

# Whatever the size of the batches: the stream depends on the seed alone.
BLOCK_SIZE = 32
# As many as an index can count: the stream does not end.
_NUM_BLOCKS = sys.maxsize // BLOCK_SIZE


class ImageReader(typing.NamedTuple):
    """Decodes images of a list of files.

    Attributes:
        paths: list of str.
        shape: `(height, width, channels)`.
        draft: bool, see `image_files.read_image`.
        irregular: set of the paths that are not opened.
        crop: `RandomCrop`, or `None`.
        interpolation: str, see `image_files.read_image`.
    """

    paths: list
    shape: tuple
    draft: bool
    irregular: set
    crop: typing.Any
    interpolation: str

    def read(self, indices, mirrored=None, threads=0, seeds=None):
        """Decodes some images.

        Args:
            indices: int array `(n,)`.
            mirrored: bool array `(n,)`, or `None`: none of them is.
            threads: int >= 0, the threads that decode; zero for the caller's.
            seeds: list of tuples of ints >= 0, of the random crop of each
                image; `None` for center crops.

        Returns:
            A tuple `(images, readable, reasons)`: uint8 array `(n, ...)`, zero
            where an image is not readable; bool array `(n,)`; the reasons of
            those that are not, in order.
        """
        images = np.zeros((len(indices), *self.shape), "uint8")
        if mirrored is None:
            mirrored = np.zeros(len(indices), bool)

        def read_one(row):
            try:
                images[row] = self._decode(
                    indices[row],
                    mirrored[row],
                    None if seeds is None else seeds[row],
                )
            except image_files.UnreadableImageError as error:
                return str(error)

        rows = range(len(indices))
        if threads:
            with concurrent.futures.ThreadPoolExecutor(threads) as pool:
                found = list(pool.map(read_one, rows))
        else:
            found = list(map(read_one, rows))
        readable = np.array([reason is None for reason in found], bool)
        return images, readable, [each for each in found if each is not None]

    def _decode(self, index, mirrored, seed):
        path = self.paths[index]
        if path in self.irregular:
            raise image_files.UnreadableImageError("not a regular file")
        return image_files.read_image(
            path,
            self.shape,
            self.draft,
            mirrored,
            crop=None if seed is None else self.crop,
            seed=seed,
            interpolation=self.interpolation,
        )


class Block(typing.NamedTuple):
    """A part of the stream.

    Attributes:
        positions: int array `(BLOCK_SIZE,)`, counted from the first epoch on.
        indices: int array, which images they are.
        images: uint8 array `(BLOCK_SIZE, height, width, channels)`.
        readable: bool array.
        reasons: list of str, for each that is not readable.
    """

    positions: np.ndarray
    indices: np.ndarray
    images: np.ndarray
    readable: np.ndarray
    reasons: list


class ImageStream:
    """The blocks of the stream from one on: a data source of grain.

    Args:
        reader: `ImageReader`.
        seed: int, of the orders, crops and flips.
        flip: bool, whether to mirror half of the images.
        first: int, the block that the source begins with.
    """

    def __init__(self, reader, seed, flip, first):
        self._reader = reader
        self._seed = seed
        self._flip = flip
        self._first = first

    def __len__(self):
        return _NUM_BLOCKS - self._first

    def __getitem__(self, index):
        start = (self._first + index) * BLOCK_SIZE
        positions = np.arange(start, start + BLOCK_SIZE)
        indices, flipped = self._draw(positions)
        seeds = [(self._seed, int(position)) for position in positions]
        images, readable, reasons = self._reader.read(
            indices, flipped, seeds=seeds
        )
        return tuple(Block(positions, indices, images, readable, reasons))

    def blocks(self, workers):
        """Yields the blocks, decoded by worker processes if there are any."""
        if not workers:
            for index in range(len(self)):
                yield Block(*self[index])
            return
        grain = _grain()
        source = grain.MapDataset.source(self).to_iter_dataset(
            # Without threads of its own in each process.
            grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
        )
        # Grain takes blocks from the workers in turn, so in order.
        iterator = iter(
            source.mp_prefetch(
                grain.MultiprocessingOptions(workers, per_worker_buffer_size=2)
            )
        )
        try:
            for block in iterator:
                yield Block(*block)
        finally:
            iterator.close()

    def _draw(self, positions):
        """The images at some positions, and which of them are mirrored."""
        epochs, ranks = np.divmod(positions, len(self._reader.paths))
        indices = np.empty_like(positions)
        flipped = np.zeros(len(positions), bool)
        for epoch in np.unique(epochs):
            inside = epochs == epoch
            order, flips = _epoch(
                self._seed, int(epoch), len(self._reader.paths)
            )
            indices[inside] = order[ranks[inside]]
            if self._flip:
                flipped[inside] = flips[indices[inside]]
        return indices, flipped


def _grain():
    grain = extras.load(
        "grain", "Worker processes of `ImageFolder`", "grain", "imagenet"
    )
    # It reads flags that only programs of absl parse; others have the defaults.
    flags = importlib.import_module("absl.flags").FLAGS
    if not flags.is_parsed():
        flags.mark_as_parsed()
    return grain


@functools.lru_cache(maxsize=2)
def _epoch(seed, epoch, size):
    """The order of the images in an epoch, and whether each is mirrored."""
    rng = np.random.default_rng((seed, epoch))
    return rng.permutation(size), rng.random(size) < 0.5
