"""From what `fit` is given to what Keras takes."""

from typing import Any
from typing import NamedTuple

import keras
import numpy as np

from keras_drift import checks
from keras_drift.datasets import GroupedDataset

# A field estimated from Keras' usual 32 samples is a poor one.
_BATCH_SIZE = 256
_POSITIVES = 32
_UNCONDITIONAL = 16


class Source(NamedTuple):
    """Arguments for `keras.Model.fit`.

    Attributes:
        x: arrays or any data source that Keras takes.
        y: labels, if `x` is arrays in groups.
        batch_size: int, if `x` is arrays.
        sample_weight: weights, if `x` is arrays.
    """

    x: Any
    y: Any = None
    batch_size: Any = None
    sample_weight: Any = None

    def pack(self):
        """As `validation_data`, which knows no batch size."""
        if self.y is None and self.sample_weight is None:
            return (self.x,) if is_array(self.x) else self.x
        return (self.x, self.y, self.sample_weight)


def as_source(x, y, batch_size, sample_weight, generator, guided, seed):
    """Puts samples and labels into groups; leaves other sources alone.

    Args:
        x: samples, or a data source.
        y: labels of the samples.
        batch_size: int, positives in a batch, or `None`.
        sample_weight: weights of the samples.
        generator: the `Generator` that the samples are for.
        guided: bool, whether batches need unconditional samples.
        seed: int, of the draws.

    Returns:
        A `Source`.
    """
    x, y, sample_weight = map(_as_array, (x, y, sample_weight))
    if not is_array(x):
        return Source(x, y, batch_size, sample_weight)
    if batch_size is not None:
        checks.positive_integer("batch_size", batch_size)
    flat = len(x.shape) == len(generator.sample_shape) + 1
    if not flat or generator.num_classes is None or y is None:
        size = _BATCH_SIZE if batch_size is None else batch_size
        return Source(x, y, size, sample_weight)
    if sample_weight is not None:
        raise ValueError(
            "`sample_weight` cannot be used with samples and labels that are "
            "still to be put into groups. Give `fit` a data source of grouped "
            "batches `(positives, labels, weights)`. Received: sample_weight "
            f"of shape {np.shape(sample_weight)}"
        )
    labels = np.asarray(keras.ops.convert_to_numpy(y))
    labels = generator.check_labels(labels)
    groups, positives = _group_sizes(batch_size, len(np.unique(labels)))
    return Source(
        GroupedDataset(
            keras.ops.convert_to_numpy(x),
            labels,
            groups_per_batch=groups,
            positives=positives,
            unconditional=_UNCONDITIONAL if guided else 0,
            seed=seed,
        )
    )


def full_batches(source, sample_shape, seed):
    """Batches of one size, from arrays that they do not divide.

    A last batch of a few samples would take a full step along a poor field, so
    each batch draws its own samples instead.
    """
    if not is_array(source.x) or tuple(source.x.shape[1:]) != sample_shape:
        return source
    if source.sample_weight is not None:
        return source
    size = source.batch_size
    if len(source.x) <= size or len(source.x) % size == 0:
        return source
    samples = keras.ops.convert_to_numpy(source.x)
    return Source(GroupedDataset(samples, positives=size, seed=seed))


def peek(source):
    """The first batch of a source, and the source as if nobody had looked.

    Returns:
        `(batch, source)`; the batch is `None` where there is nothing to see.
    """
    x = source.x
    if is_array(x) or isinstance(x, dict):
        parts = (source.x, source.y, source.sample_weight)
        size = source.batch_size or _BATCH_SIZE
        return keras.tree.map_structure(
            lambda v: None if v is None else v[:size], parts
        ), source
    if isinstance(x, keras.utils.PyDataset):
        return x[0], source
    if x is None or not hasattr(x, "__iter__"):
        return None, source
    if iter(x) is not x:
        return next(iter(x), None), source
    first = next(x, None)
    if first is None:
        return None, source
    return first, source._replace(x=_replay(first, x))


def split(x, y, share):
    """Keeps the last share of arrays for validation.

    Returns:
        `((x, y), validation_data)`.
    """
    x, y = _as_array(x), _as_array(y)
    if not is_array(x):
        raise ValueError(
            "`validation_split` cuts arrays; for a data source give "
            f"`validation_data`. Received: x={type(x).__name__}, "
            f"validation_split={share}"
        )
    if not 0 < share < 1:
        raise ValueError(
            "`validation_split` is a share between 0 and 1. "
            f"Received: validation_split={share}"
        )
    cut = len(x) - int(len(x) * share)
    if y is None:
        return (x[:cut], None), (x[cut:],)
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])


def is_array(x):
    """Whether `x` is an array or tensor, rather than a data source."""
    return hasattr(x, "shape") and hasattr(x, "dtype")


def _as_array(data):
    """Lists, and frames of pandas, as NumPy arrays; the rest as it is."""
    if hasattr(data, "to_numpy"):
        return data.to_numpy()
    return np.asarray(data) if isinstance(data, (list, tuple)) else data


def _group_sizes(batch_size, num_classes):
    if batch_size is None:
        return min(num_classes, 10), _POSITIVES
    groups = max(1, min(num_classes, batch_size // _POSITIVES))
    return groups, max(1, batch_size // groups)


def _replay(first, rest):
    yield first
    yield from rest
