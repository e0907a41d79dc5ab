"""Grouped batches from samples and labels, for training and evaluation."""

import math

import keras
import numpy as np

from keras_drift import backend
from keras_drift import user_warnings
from keras_drift.datasets import GroupedDataset

_POSITIVES = 32
_UNCONDITIONAL = 16
# The fewest positives of a batch in evaluation: metrics of the five nearest
# neighbors need them.
_FEWEST = 12


def in_classes(
    samples,
    labels,
    generator,
    size,
    needs_unconditional=False,
    seed=0,
    evaluates=False,
):
    """A grouped data set, one class per group, from samples and labels.

    Args:
        samples: float array `(num_samples, ...)`.
        labels: int array `(num_samples,)`.
        generator: the `Generator` that the samples are for.
        size: int, positives in a batch.
        needs_unconditional: bool, whether batches need unconditional samples.
            Defaults to `False`.
        seed: int. Defaults to `0`.
        evaluates: bool, whether no more samples of a class are drawn than the
            smallest class has, unless that has very few. Defaults to `False`.

    Returns:
        A `GroupedDataset`.
    """
    labels = generator.check_labels(keras.ops.convert_to_numpy(labels))
    counts = np.unique(labels, return_counts=True)[1]
    groups = max(1, min(len(counts), size // _POSITIVES))
    positives = max(1, size // groups)
    if evaluates:
        # Two halves of each class, or equal shares of a single one.
        multiple = 2 if groups > 1 else backend.replicas_of(generator)
        most = _without_copies(
            counts, groups, min(_FEWEST, size // 2), multiple
        )
        positives = min(positives, most)
    return GroupedDataset(
        samples,
        labels,
        groups_per_batch=groups,
        positives=positives,
        unconditional=_UNCONDITIONAL if needs_unconditional else 0,
        seed=seed,
    )


def warn_of_copies(source):
    """Warns if batches for metrics hold samples of small classes twice."""
    if not getattr(source, "draws_copies", False):
        return
    user_warnings.warn(
        "Some classes have fewer samples than a batch draws of each class, so "
        "it holds copies of their samples. Metrics divide a batch in two: with "
        "copies in both halves, floors are too low, and "
        "`NearestNeighborAccuracy` is too high for any generator. Hold out "
        "more samples of these classes, or give a `GroupedDataset` with fewer "
        f"`positives`. Received: {source.positives} positives of each class, "
        f"{source.smallest_class} samples in the smallest one"
    )


def _without_copies(counts, groups, fewest, multiple):
    """The positives that every class can give without repetition.

    A rare class does not reduce the batch to fewer than a few samples, of which
    metrics say little: then its samples are repeated.
    """
    # `GroupedDataset` refuses labels that are empty.
    smallest = int(counts.min()) if len(counts) else 0
    fewest = math.ceil(fewest / groups / multiple)
    return max(smallest // multiple, fewest, 1) * multiple
