"""Latents in files on disk, read like one array."""

import hashlib
import pathlib
import threading

import numpy as np

from keras_drift.datasets.latents import shard_files

_ROWS_AT_ONCE = 32


class LatentSamples:
    """Latents of a `LatentCache`, indexed like an array `(num_samples, ...)`.

    An index or an array of indices reads the latents from memory maps. Where
    the cache holds moments, a latent is drawn from its posterior; where it
    holds mirrored images, one of the two is drawn. What is drawn depends on the
    seed and on the indices that are read together: one read repeats exactly,
    and the same image gets another draw in another batch.

    Before anything of a shard is used for the first time, its checksum is
    compared with that in the manifest.

    Args:
        directory: path of the cache.
        manifest: dict, the complete manifest.
        counts: int array `(num_shards,)`, the rows of each shard.
        seed: int >= 0, for the draws.
    """

    ndim = 4
    dtype = np.dtype("float32")

    def __init__(self, directory, manifest, counts, seed):
        self._directory = pathlib.Path(directory)
        self._records = manifest["shards"]
        self._draws_noise = manifest["options"]["keep"] == "moments"
        self._num_views = 2 if manifest["options"]["flip"] else 1
        self._ends = np.cumsum(counts)
        self._seed = seed
        self.shape = (int(self._ends[-1]), *manifest["latent_shape"])
        self._arrays = {}
        self._lock = threading.Lock()

    def __len__(self):
        return self.shape[0]

    @property
    def size(self):
        """The number of numbers in all latents."""
        return int(np.prod(self.shape))

    def __getitem__(self, key):
        """Reads latents.

        Args:
            key: int, int array of any shape, or slice.

        Returns:
            float32 array of the shape of the indices and of a latent.
        """
        indices = self._indices(key)
        flat = indices.ravel()
        rng = self._rng(flat)
        views = rng.integers(self._num_views, size=len(flat))
        latents = self._drawn(self._read(flat, views), rng)
        return latents.reshape(*indices.shape, *self.shape[1:])

    def _drawn(self, rows, rng):
        """Float32 latents of rows, in few at a time: those fit in a cache."""
        if not self._draws_noise:
            return rows.astype("float32")
        latents = np.empty((len(rows), *self.shape[1:]), "float32")
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            part = slice(first, first + _ROWS_AT_ONCE)
            moments = rows[part].astype("float32")
            mean, log_variance = np.split(moments, 2, axis=-1)
            noise = rng.standard_normal(mean.shape, "float32")
            noise *= np.exp(log_variance / 2)
            np.add(mean, noise, out=latents[part])
        return latents

    def _indices(self, key):
        if isinstance(key, slice):
            return np.arange(*key.indices(len(self)))
        indices = np.asarray(key)
        if indices.dtype.kind not in "iu":
            raise TypeError(
                "Latents are read by integers, arrays of integers or slices. "
                f"Received: indices of type {indices.dtype}"
            )
        wrong = (indices < -len(self)) | (indices >= len(self))
        if wrong.any():
            raise IndexError(
                f"There are {len(self)} latents. Received: index "
                f"{indices[wrong][0]}"
            )
        return np.where(indices < 0, indices + len(self), indices)

    def _rng(self, flat):
        """A random generator of its own for what is read together."""
        content = flat.astype("<i8").tobytes()
        digest = hashlib.blake2b(content, digest_size=16).digest()
        words = np.frombuffer(digest, "<u4").tolist()
        return np.random.default_rng([self._seed, *words])

    def _read(self, flat, views):
        channels = self.shape[-1] * (2 if self._draws_noise else 1)
        rows = np.empty((len(flat), *self.shape[1:-1], channels), "float16")
        shards = np.searchsorted(self._ends, flat, side="right")
        # In the order on the disk.
        order = np.argsort(flat, kind="stable")
        for group in np.split(
            order, np.flatnonzero(np.diff(shards[order])) + 1
        ):
            if not len(group):
                continue
            shard = int(shards[group[0]])
            array = self._shard(shard)
            first = self._ends[shard] - len(array)
            rows[group] = array[flat[group] - first, views[group]]
        return rows

    def _shard(self, number):
        """The memory map of a shard, checked when it is opened."""
        with self._lock:
            if number not in self._arrays:
                record = self._records[number]
                shard_files.refuse_damage(self._directory, [record])
                self._arrays[number] = np.load(
                    self._directory / record["file"], mmap_mode="r"
                )
            return self._arrays[number]

    def __getstate__(self):
        # Another process opens, and checks, the files itself.
        state = {k: v for k, v in vars(self).items() if k != "_lock"}
        return {**state, "_arrays": {}}

    def __setstate__(self, state):
        vars(self).update(state, _lock=threading.Lock())
