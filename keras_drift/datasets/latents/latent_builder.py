"""Encodes the images of a source, shard by shard."""

import concurrent.futures
import pathlib

import numpy as np

from keras_drift import fingerprints
from keras_drift.datasets.arrays import sample_arrays
from keras_drift.datasets.latents import shard_files
from keras_drift.progress import Progress

FORMAT = 1
_LABELS_FILE = "labels.npy"


class LatentBuilder:
    """Builds the missing shards of a latent cache.

    Args:
        source: image source, see `LatentCache.build`.
        autoencoder: `autoencoders.Autoencoder`.
        directory: path of the cache.
        options: dict with `keep`, `flip`, `seed` and `shard_size`.
        batch_size: int >= 1, images to read and to encode at once.
        verbose: bool.
    """

    def __init__(
        self, source, autoencoder, directory, options, batch_size, verbose
    ):
        self._source = source
        self._autoencoder = autoencoder
        self._directory = pathlib.Path(directory)
        self._options = options
        self._batch_size = batch_size
        self._verbose = verbose
        self._manifest = None

    def build(self):
        """Writes what is missing or damaged; continues a build that ended."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._manifest = self._begun()
        shards = self._manifest["shards"]
        missing = self._missing()
        size = self._options["shard_size"]
        num_images = len(self._source)
        done = num_images - sum(len(self._range(shard)) for shard in missing)
        progress = Progress("Encoding", num_images, done, verbose=self._verbose)
        if missing and done:
            progress.say(
                f"Continuing a latent cache of {num_images:,} images: "
                f"{len(missing)} of {len(shards)} shards are to be built."
            )
        with concurrent.futures.ThreadPoolExecutor(1) as reader:
            for shard in missing:
                shards[shard] = self._built(shard, reader, progress, done)
                shard_files.write_manifest(self._directory, self._manifest)
                done += min(size, num_images - shard * size)
        if missing:
            unreadable = sum(len(record["unreadable"]) for record in shards)
            progress.finish(
                done,
                f"; {unreadable:,} could not be read and are left out"
                if unreadable
                else "",
            )

    def _begun(self):
        """The manifest to continue with: that on disk, or a new one."""
        size, num_images = self._options["shard_size"], len(self._source)
        begun = {
            "format": FORMAT,
            "source": self._source.fingerprint,
            "autoencoder": fingerprints.of_layer(self._autoencoder),
            "num_images": num_images,
            "options": self._options,
        }
        found = shard_files.read_manifest(self._directory)
        if found is None:
            found = {
                **begun,
                "latent_shape": None,
                "labels": None,
                "shards": [None] * -(-num_images // size),
            }
        else:
            _refuse_differences(self._directory, found, begun)
        labels = self._source.labels
        if labels is not None and (
            found["labels"] is None
            or shard_files.damage(self._directory, found["labels"], True)
        ):
            found["labels"] = shard_files.write_array(
                self._directory / _LABELS_FILE, np.asarray(labels, "int32")
            )
        shard_files.write_manifest(self._directory, found)
        return found

    def _missing(self):
        """The numbers of the shards to build; damaged ones are named."""
        missing = []
        say = Progress("", None, verbose=self._verbose).say
        for number, record in enumerate(self._manifest["shards"]):
            damage = record and shard_files.damage(
                self._directory, record, thorough=True
            )
            if damage:
                say(f"{record['file']} is damaged ({damage}): built again.")
            if record is None or damage:
                missing.append(number)
        return missing

    def _range(self, shard):
        """The source indices of a shard."""
        size = self._options["shard_size"]
        return range(shard * size, min((shard + 1) * size, len(self._source)))

    def _built(self, shard, reader, progress, done):
        """Encodes and writes one shard; returns its record."""
        indices = np.array(self._range(shard))
        batches = [
            indices[first : first + self._batch_size]
            for first in range(0, len(indices), self._batch_size)
        ]
        rng = np.random.default_rng((self._options["seed"], shard))
        rows, unreadable = [], []
        # The next batch is read while one is encoded.
        following = reader.submit(self._source.read, batches[0])
        for number, batch in enumerate(batches):
            images, readable = following.result()
            if number + 1 < len(batches):
                following = reader.submit(
                    self._source.read, batches[number + 1]
                )
            readable = _checked_readable(images, readable, batch)
            rows.append(self._encoded(images, readable, batch, rng))
            unreadable += batch[~readable].tolist()
            progress.update(done + int(batch[-1]) + 1 - int(indices[0]))
        name = f"latents-{shard:05d}.npy"
        record = shard_files.write_array(
            self._directory / name, np.concatenate(rows)
        )
        return {**record, "unreadable": unreadable}

    def _encoded(self, images, readable, indices, rng):
        """The rows of a batch, float16 `(rows, views, *latent, channels)`."""
        images = np.asarray(images)
        shape = tuple(self._autoencoder.latent_shape(images.shape[1:]))
        known = self._manifest["latent_shape"]
        if known is None:
            self._manifest["latent_shape"] = list(shape)
        elif tuple(known) != shape:
            raise ValueError(
                "All images of a latent cache have one shape, with latents of "
                f"shape {tuple(known)}. Received: image {indices[0]} of shape "
                f"{images.shape[1:]}"
            )
        views = 2 if self._options["flip"] else 1
        keeps_moments = self._options["keep"] == "moments"
        noise = None
        if not keeps_moments:
            # For unreadable images too: noise then depends on the index alone.
            noise = rng.standard_normal((len(images), views, *shape), "float32")
            noise = noise[readable]
        images = images[readable]
        if not len(images):
            channels = shape[-1] * (2 if keeps_moments else 1)
            return np.empty((0, views, *shape[:-1], channels), "float16")
        if views == 2:
            images = np.stack([images, images[:, :, ::-1]], axis=1)
            images = images.reshape(-1, *images.shape[2:])
        moments = self._autoencoder.moments(images, self._batch_size)
        mean, log_variance = (
            moment.reshape(-1, views, *shape) for moment in moments
        )
        if keeps_moments:
            rows = np.concatenate([mean, log_variance], axis=-1)
        else:
            rows = mean + np.exp(log_variance / 2) * noise
        return _as_float16(rows, indices[readable])


class ArraySource:
    """Images and labels in arrays, as an image source.

    Args:
        images: float array `(n, height, width, channels)` in `[-1, 1]`.
        labels: int array `(n,)`, or `None`.
    """

    def __init__(self, images, labels=None):
        self._images = sample_arrays.as_numpy(images)
        if self._images.ndim != 4 or not len(self._images):
            raise ValueError(
                "Images are a non-empty array `(n, height, width, channels)`. "
                f"Received: images.shape={self._images.shape}"
            )
        self.labels = None
        if labels is not None:
            self.labels = sample_arrays.as_numpy(labels)
        self.fingerprint = fingerprints.of_arrays(self._images, self.labels)

    def __len__(self):
        return len(self._images)

    def read(self, indices):
        """Images, and whether each of them could be read."""
        return self._images[indices], np.ones(len(indices), bool)


def _checked_readable(images, readable, indices):
    readable = np.asarray(readable)
    size = len(indices)
    if (
        len(images) != size
        or readable.shape != (size,)
        or readable.dtype.kind != "b"
    ):
        raise ValueError(
            "`read(indices)` of an image source returns one image for each "
            "index, unreadable ones included, and a bool array, which of them "
            f"could be read. Received: {size} indices, {len(images)} images, "
            f"an array of shape {readable.shape} and type {readable.dtype}"
        )
    return readable


def _as_float16(rows, indices):
    with np.errstate(over="ignore"):
        halves = rows.astype("float16")
    finite = np.isfinite(halves).reshape(len(rows), -1).all(axis=1)
    if not finite.all():
        raise ValueError(
            "Latents are kept in float16, up to 65504. Check the weights of "
            "the autoencoder, and `scale` if it has one. Received: image "
            f"{indices[np.argmin(finite)]} with a latent that is larger or NaN"
        )
    return halves


def _refuse_differences(directory, found, wanted):
    """Refuses to continue a cache of other images, weights or options."""
    found, wanted = (
        {**manifest, **manifest.get("options", {})}
        for manifest in (found, wanted)
    )
    keys = [key for key in wanted if key != "options"]
    differences = [
        f"{key}={wanted[key]!r}, where the cache has {found.get(key)!r}"
        for key in keys
        if found.get(key) != wanted[key]
    ]
    if differences:
        raise ValueError(
            "This directory holds a latent cache of another source, "
            "autoencoder or option. Give another directory, or delete this "
            f"one. Received: directory={str(directory)!r}, "
            + "; ".join(differences)
        )
