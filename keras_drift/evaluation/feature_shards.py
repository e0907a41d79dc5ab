"""Features of generated samples, kept in files."""

import keras
import numpy as np

from keras_drift.atomic_files import write_arrays
from keras_drift.evaluation.run_directory import read_arrays

# Blocks in one file: what an interruption can cost.
_BLOCKS = 4


class FeatureShards:
    """Extracts the features of samples block by block, and keeps them.

    Only one block of images is in memory. With a folder the features of every
    few blocks are written to a file, and those that are there are not computed
    again.

    Args:
        samples: `SampleBlocks`.
        extractor: `FeatureExtractor`.
        run: `RunDirectory`, or `None`: in memory only.
        verbose: int, `0` without a progress bar.
    """

    def __init__(self, samples, extractor, run, verbose):
        self.samples = samples
        self.extractor = extractor
        self.run = run
        self.progress = keras.utils.Progbar(
            samples.num_samples, verbose=verbose, unit_name="sample"
        )

    def extract(self):
        """Returns the features `(n, dim)`, and the logits or `None`."""
        shards = [
            self._shard(start) for start in range(0, len(self.samples), _BLOCKS)
        ]
        return tuple(_joined(parts) for parts in zip(*shards, strict=True))

    def _shard(self, first):
        blocks = range(first, min(first + _BLOCKS, len(self.samples)))
        stop = self.samples.bounds(blocks[-1])[1]
        count = stop - self.samples.bounds(first)[0]
        path = None
        if self.run is not None:
            path = self.run.path / f"features_{first // _BLOCKS:05d}.npz"
            kept = self._kept(path, count)
            if kept is not None:
                self.progress.update(stop)
                return kept
        found = []
        for block in blocks:
            images = self.samples.block(block)
            found.append(self.extractor(images, self.samples.batch_size))
            self.progress.update(self.samples.bounds(block)[1])
        features, logits = map(_joined, zip(*found, strict=True))
        if path is not None:
            arrays = {"features": features}
            if logits is not None:
                arrays["logits"] = logits
            write_arrays(path, arrays)
        return features, logits

    def _kept(self, path, count):
        """The features in a file, if there are enough of them."""
        arrays = read_arrays(path)
        if arrays is None or len(arrays.get("features", ())) < count:
            return None
        logits = arrays.get("logits")
        return (
            arrays["features"][:count],
            None if logits is None else logits[:count],
        )


def _joined(parts):
    return None if parts[0] is None else np.concatenate(parts)
