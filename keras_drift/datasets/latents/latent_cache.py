"""Latents of images, encoded once and kept on disk."""

import pathlib

import numpy as np

from keras_drift import checks
from keras_drift.datasets.arrays import sample_arrays
from keras_drift.datasets.latents import shard_files
from keras_drift.datasets.latents.latent_builder import FORMAT
from keras_drift.datasets.latents.latent_builder import ArraySource
from keras_drift.datasets.latents.latent_builder import LatentBuilder
from keras_drift.datasets.latents.latent_samples import LatentSamples


class LatentCache:
    """Latents of images, encoded once and kept in files on disk.

    A generator of latents trains on the output of a frozen autoencoder. To
    encode the same images in every epoch would take most of the time: `build`
    does so once, and `GroupedDataset` reads the latents from memory maps.

    The directory holds shards (`.npy` files, float16), the labels, and a
    manifest with the size and the checksum of each. A build that was killed
    continues at the first shard that is missing. A damaged shard is never used:
    sizes are compared when the cache is opened, the checksum of a shard before
    its first use, and all of them by `verify`.

    Args:
        directory: path that `LatentCache.build` wrote to.
        seed: int >= 0, for what reading draws: noise where the cache holds
            moments, mirrored images where it has them. Defaults to `0`.

    Attributes:
        samples: float32 latents `(num_samples, height, width, channels)`, read
            and drawn when they are indexed by ints, arrays of ints or slices.
            The draws depend on the seed and the indices of a read alone.
        labels: int32 array `(num_samples,)`, or `None` without labels.
        unreadable: int array, the indices of the images of the source that
            could not be read and are left out.
        options: dict, `keep`, `flip`, `seed` and `shard_size` of the build.

    Raises:
        FileNotFoundError: if the directory holds no latent cache.
        ValueError: if the build has not ended, or a file is damaged.

    Example:

    ```python
    autoencoder = kd.autoencoders.StableDiffusion.from_preset(
        "hf://stabilityai/sd-vae-ft-mse"
    )
    cache = kd.datasets.LatentCache.build(
        (images, labels), autoencoder, "outputs/latents"
    )
    batches = kd.datasets.GroupedDataset(
        cache.samples, cache.labels, groups_per_batch=64, positives=64
    )
    model.fit(batches)
    ```
    """

    def __init__(self, directory, seed=0):
        checks.non_negative_integer("seed", seed)
        self.directory = pathlib.Path(directory)
        self._manifest = _complete_manifest(self.directory)
        self.options = dict(self._manifest["options"])
        self._refuse_damage(thorough=False)
        self.unreadable = np.array(
            [i for s in self._manifest["shards"] for i in s["unreadable"]],
            "int64",
        )
        size = self.options["shard_size"]
        num_images = self._manifest["num_images"]
        starts = np.arange(0, num_images, size)
        counts = np.minimum(size, num_images - starts)
        counts -= [len(s["unreadable"]) for s in self._manifest["shards"]]
        self.labels = self._read_labels()
        self.samples = LatentSamples(
            self.directory, self._manifest, counts, seed
        )

    @classmethod
    def build(
        cls,
        source,
        autoencoder,
        directory,
        keep="samples",
        flip=True,
        batch_size=32,
        shard_size=4096,
        seed=0,
        verbose=True,
    ):
        """Encodes all images of a source, or those that are still missing.

        Called again, it checks every file and builds what is missing or
        damaged, so that it may be called at the start of each run.

        Args:
            source: `(images, labels)` or images: a float array `(n, height,
                width, channels)` in `[-1, 1]` and an int array `(n,)`. Or an
                object with `len(source)`, `labels` (an int array or `None`),
                `fingerprint` (a str that differs for other images) and
                `read(indices)`, which returns images and a bool array, which of
                them could be read; the others are left out.
            autoencoder: an `autoencoders.Autoencoder`.
            directory: path of a directory, made if it does not exist.
            keep: `"samples"`, one draw from the posterior of each image, as in
                the official release; or `"moments"`, mean and log-variance,
                from which every read draws anew: twice as large, and several
                times slower to read. Defaults to `"samples"`.
            flip: bool, whether to encode the mirror image of each image too;
                every read draws one of the two, as in the official release.
                Defaults to `True`.
            batch_size: int >= 1, images that are read and encoded at once.
                Defaults to `32`.
            shard_size: int >= 1, images in a shard, which is held in memory
                until it is written. Defaults to `4096`: 64 MiB of latents
                `(32, 32, 4)` and their mirror images.
            seed: int >= 0, for the draws of `keep="samples"`. Defaults to `0`.
            verbose: bool, whether to print images per second and the time
                left. Defaults to `True`.

        Returns:
            The `LatentCache`.

        Raises:
            ValueError: if the directory holds a cache of other images, another
                autoencoder or other options.
        """
        options = {
            "keep": checks.choice("keep", keep, ("samples", "moments")),
            "flip": checks.boolean("flip", flip),
            "seed": checks.non_negative_integer("seed", seed),
            "shard_size": checks.positive_integer("shard_size", shard_size),
        }
        checks.positive_integer("batch_size", batch_size)
        checks.boolean("verbose", verbose)
        _check_autoencoder(autoencoder)
        source = _as_source(source)
        LatentBuilder(
            source, autoencoder, directory, options, batch_size, verbose
        ).build()
        return cls(directory)

    def __len__(self):
        return len(self.samples)

    def verify(self):
        """Reads every file and compares its checksum.

        Raises:
            ValueError: if files are damaged; it names each of them.
        """
        self._refuse_damage(thorough=True)

    def _refuse_damage(self, thorough):
        records = [self._manifest["labels"], *self._manifest["shards"]]
        records = [record for record in records if record is not None]
        shard_files.refuse_damage(self.directory, records, thorough)

    def _read_labels(self):
        record = self._manifest["labels"]
        if record is None:
            return None
        shard_files.refuse_damage(self.directory, [record])
        labels = np.load(self.directory / record["file"])
        return sample_arrays.read_only(np.delete(labels, self.unreadable))


def _complete_manifest(directory):
    manifest = shard_files.read_manifest(directory)
    if manifest is None:
        raise FileNotFoundError(
            "There is no latent cache in this directory. Encode images with "
            "`LatentCache.build(source, autoencoder, directory)` first. "
            f"Received: directory={str(directory)!r}"
        )
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError(
            "This is the manifest of something else than a latent cache, or of "
            "another version. Received: "
            f"{str(directory / shard_files.MANIFEST)!r}"
        )
    missing = sum(record is None for record in manifest["shards"])
    if missing:
        raise ValueError(
            f"{missing} of {len(manifest['shards'])} shards are not built yet. "
            "`LatentCache.build` with the arguments of before continues. "
            f"Received: directory={str(directory)!r}"
        )
    if (
        sum(len(s["unreadable"]) for s in manifest["shards"])
        == (manifest["num_images"])
    ):
        raise ValueError(
            "No image of the source could be read, so the cache is empty. "
            f"Received: directory={str(directory)!r}"
        )
    return manifest


def _check_autoencoder(autoencoder):
    needed = ("moments", "latent_shape", "require", "get_config")
    if not all(hasattr(autoencoder, name) for name in needed):
        raise TypeError(
            "`autoencoder` is an `autoencoders.Autoencoder`. Received: "
            f"autoencoder of type {type(autoencoder).__name__}"
        )
    autoencoder.require()


def _as_source(source):
    """The source of images of `build`, with its labels checked."""
    if hasattr(source, "shape"):
        source = ArraySource(source)
    elif isinstance(source, tuple) and len(source) == 2:
        source = ArraySource(*source)
    needed = ("__len__", "labels", "fingerprint", "read")
    absent = [name for name in needed if not hasattr(source, name)]
    if absent:
        raise TypeError(
            "`source` is `(images, labels)`, images alone, or an image source "
            "such as an image folder, with `len(source)`, `labels`, "
            "`fingerprint` and `read(indices)`. Received: source of type "
            f"{type(source).__name__} without {', '.join(absent)}"
        )
    if getattr(source, "crop_scale", None) is not None:
        raise ValueError(
            "Latents are encoded once, so that they cannot be of random crops. "
            "Give a folder without `crop_scale`, whose center crops are "
            f"encoded. Received: source.crop_scale={source.crop_scale}"
        )
    if not len(source):
        raise ValueError("`source` has no images. Received: len(source)=0")
    labels = source.labels
    if labels is not None and (
        np.shape(labels) != (len(source),)
        or np.asarray(labels).dtype.kind not in "iu"
    ):
        raise ValueError(
            "Labels are integers, one for each image. Received: "
            f"{len(source)} images, labels of shape {np.shape(labels)} and "
            f"type {np.asarray(labels).dtype}"
        )
    return source
