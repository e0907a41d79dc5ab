"""Converts the arguments of `fit` and `evaluate` to a Keras data source."""

from typing import Any
from typing import NamedTuple

import keras
import numpy as np

from keras_drift import backend
from keras_drift import checks
from keras_drift import user_warnings
from keras_drift.datasets import ArrayDataset
from keras_drift.datasets.arrays import sample_arrays
from keras_drift.datasets.arrays.seeded_dataset import SeededDataset
from keras_drift.training import shares
from keras_drift.training.class_batches import in_classes
from keras_drift.training.data_batch import DataBatch
from keras_drift.training.data_batch import check_values
from keras_drift.training.data_batch import is_flat
from keras_drift.training.group_batches import GroupBatches
from keras_drift.training.stepped_dataset import SteppedDataset

# Keras' default of 32 samples is too few to estimate a field.
_BATCH_SIZE = 256
# As many have all the samples that are looked at.
_NUM_CHECKED_GROUPS = 1000


class Source(NamedTuple):
    """Data source for Keras, with what is known about its batches.

    Attributes:
        x: any data source that Keras takes.
        shapes: tuple of tuples, the shapes of the parts of a batch, with
            `None` for a size that may differ from batch to batch; `None` if
            they are unknown before the first batch.
        made_here: bool, whether `x` was made from arrays given to `fit`, so
            that its epoch is set here.
    """

    x: Any
    shapes: Any = None
    made_here: bool = False


def as_source(
    x,
    y,
    sample_weight,
    generator,
    needs_unconditional=False,
    batch_size=None,
    shuffle=True,
    seed=0,
    fixed=False,
    num_steps=None,
):
    """Converts samples and labels to a data source; checks the first batch.

    Args:
        x: samples, or a data source.
        y: labels of the samples, or `None`.
        sample_weight: weights of the samples, or `None`.
        generator: the `Generator` that the samples are for.
        needs_unconditional: bool, whether batches need unconditional samples.
            Defaults to `False`.
        batch_size: int, positives in a batch. Defaults to `None`: 256.
        shuffle: bool, whether arrays are shuffled. Defaults to `True`.
        seed: int, of the order. Defaults to `0`.
        fixed: bool, whether every epoch has the same batches, as validation
            needs, and classes of arrays are not drawn from with repetition.
            Defaults to `False`.
        num_steps: int, batches of an epoch where arrays are given. Defaults to
            `None`: as many as show every sample.

    Returns:
        A `Source`.
    """
    refuse_nested(x, generator)
    x, y, sample_weight = _as_arrays(x, y, sample_weight)
    if batch_size is not None:
        checks.positive_integer("batch_size", batch_size)
    size = _BATCH_SIZE if batch_size is None else batch_size
    if not is_array(x):
        sample_arrays.refuse_folder(x)
        _refuse_beside_a_source(
            x, y=y, sample_weight=sample_weight, batch_size=batch_size
        )
        if fixed and hasattr(x, "fixed"):
            x = getattr(x, "for_evaluation", x.fixed)()
        return _checked(x, generator, needs_unconditional)
    flat = len(x.shape) == len(generator.sample_shape) + 1
    if flat and generator.num_classes is not None and y is not None:
        _refuse_weights(sample_weight)
        source = in_classes(
            x, y, generator, size, needs_unconditional, seed, evaluates=fixed
        )
    else:
        first = (x[:size], *_parts(y, sample_weight, size))
        DataBatch.parse(first, generator, needs_unconditional)
        if flat:
            source = ArrayDataset(x, sample_weight, size, shuffle, seed)
        else:
            check_batch((x, y, sample_weight), generator, needs_unconditional)
            warn_of_unscaled_images((x, y, sample_weight), generator)
            source = GroupBatches(x, y, sample_weight, size, shuffle, seed)
    if num_steps is not None:
        source = SteppedDataset(source, num_steps)
    source = source.for_evaluation() if fixed else source
    return _checked(source, generator, needs_unconditional, made_here=True)


def length(data):
    """The number of batches of a data source, or `None` if it is unknown."""
    try:
        return len(data)
    except TypeError:  # of some data sets that have a method for it
        return None


def split(x, y, sample_weight, share):
    """Splits off the last part of arrays for validation.

    Returns:
        `((x, y, sample_weight), validation_data)`.
    """
    arrays = _as_arrays(x, y, sample_weight)
    if not is_array(arrays[0]):
        raise ValueError(
            "`validation_split` splits arrays; for a data source give "
            f"`validation_data`. Received: x={type(x).__name__}, "
            f"validation_split={share}"
        )
    if not 0 < share < 1:
        raise ValueError(
            "`validation_split` is a fraction between 0 and 1. "
            f"Received: validation_split={share}"
        )
    size = len(arrays[0])
    cut = size - int(size * share)
    if cut == size:
        raise ValueError(
            "`validation_split` leaves no sample for validation. Received: "
            f"{size} samples, validation_split={share}"
        )
    for name, array in zip(("y", "sample_weight"), arrays[1:], strict=True):
        if array is not None and len(array) != size:
            raise ValueError(
                f"`{name}` has one entry for each sample. Received: {size} "
                f"samples, {name} of length {len(array)}"
            )
    if arrays[1] is not None:
        _warn_of_missing_classes(arrays[1][:cut], arrays[1][cut:])
    return tuple(
        tuple(None if a is None else a[part] for a in arrays)
        for part in (slice(cut), slice(cut, None))
    )


def _warn_of_missing_classes(labels, held_out):
    """Warns of classes of validation that training does not see."""
    labels, held_out = (
        np.unique(sample_arrays.as_numpy(each)) for each in (labels, held_out)
    )
    missing = np.setdiff1d(held_out, labels)
    if missing.size:
        user_warnings.warn(
            "`validation_split` takes the last samples, and all samples of "
            "some classes are among them, which training does not see. "
            "Shuffle samples and labels together first. Received: no label of "
            f"{missing[:5].tolist()} in the part that is trained on"
        )


def first_batch(x):
    """The first batch of a data source, which nothing is taken from.

    Returns:
        A batch, of symbolic tensors where only its shapes are known; `None` if
        its sizes are unknown.
    """
    if is_iterator(x):
        return None
    batch, _, _ = _peek(x)
    sizes = [size for part in _parts_of(batch) for size in part.shape]
    return None if None in sizes else batch


def is_iterator(x):
    """Whether reading from `x` takes something from it."""
    return x is not None and hasattr(x, "__iter__") and iter(x) is x


def check_batch(data, generator, needs_unconditional):
    """Checks one batch; returns the shapes of its parts."""
    batch = DataBatch.parse(data, generator, needs_unconditional)
    check_values(batch, generator)
    return _shapes(data)


def warn_of_unscaled_images(data, generator):
    """Warns if the positives of a batch look like images in files."""
    batch = DataBatch.parse(data, generator)
    samples = keras.ops.convert_to_numpy(batch.positives)[:_NUM_CHECKED_GROUPS]
    if batch.weights is None:
        samples = samples.reshape(-1, *samples.shape[2:])
    else:  # a sample of weight zero is absent, whatever its values
        weights = batch.weights[:_NUM_CHECKED_GROUPS]
        samples = samples[keras.ops.convert_to_numpy(weights) > 0]
    sample_arrays.warn_of_unscaled_images(samples)


def refuse_class_weight(class_weight):
    """Refuses `class_weight`, which a drifting model cannot use."""
    if class_weight is not None:
        raise ValueError(
            "`class_weight` is not supported: show a class more often "
            "instead, in batches of your own. "
            f"Received: class_weight={class_weight!r}"
        )


def refuse_nested(x, generator):
    """Refuses arrays in a dict or a tuple, which are one batch, not a data set.

    Keras would cut a dict into batches of 32, the last of them short.
    """
    first = x[0] if isinstance(x, tuple) and x else None
    rank = len(getattr(first, "shape", ()))
    if isinstance(x, dict) or rank > len(generator.sample_shape):
        raise TypeError(
            "Arrays are given one by one: `fit(samples, labels)`, or "
            "`fit(samples, sample_weight=weights)`. A dict, or a tuple, of "
            "them is a batch, which a data source gives and `train_on_batch` "
            f"takes. Received: x of type {type(x).__name__}"
        )


def is_array_like(x):
    """Whether `x` is an array, a list or a frame, rather than a data source."""
    return is_array(_as_array(x))


def has_positions(x):
    """Whether batches of `x` follow from the epoch and their index alone."""
    return isinstance(x, SeededDataset) or is_array_like(x)


def is_array(x):
    """Whether `x` is an array or tensor, rather than a data source."""
    return hasattr(x, "shape") and hasattr(x, "dtype")


def _checked(x, generator, needs_unconditional, made_here=False):
    """Returns a `Source` after checking its first batch."""
    first, x, symbolic = _peek(x)
    if first is None:
        return Source(x, None, made_here)
    if getattr(x, "labels_present", None) is not None:
        generator.check_labels(x.labels_present)  # of all batches
    batch = DataBatch.parse(first, generator, needs_unconditional)
    num_replicas = backend.replicas_of(generator)
    shares.check_batch(batch, is_flat(first, generator), num_replicas)
    if symbolic:
        return Source(x, _shapes(first), made_here)
    shapes = check_batch(first, generator, needs_unconditional)
    if not getattr(x, "has_equal_batches", False):
        shapes = tuple((None,) * len(shape) for shape in shapes)
    # Of arrays, all samples have been looked at.
    if not made_here and not getattr(x, "scale_is_checked", False):
        warn_of_unscaled_images(first, generator)
    return Source(x, shapes, made_here)


def _peek(x):
    """Returns the first batch if that has no side effects.

    No source is iterated twice: that would fill shuffle buffers, start workers
    and advance random generators.

    Returns:
        `(batch, source, symbolic)`; the batch is `None` if it is unknown, and
        holds symbolic tensors if only its shapes are known.
    """
    if isinstance(x, keras.utils.PyDataset):
        return x[0], x, False
    if hasattr(x, "element_spec"):  # a `tf.data.Dataset`
        return _symbolic(x.element_spec), x, True
    if is_iterator(x):
        first = next(x, None)
        if first is not None:
            return first, _chain(first, x), False
    return None, x, False


def _shapes(batch):
    return tuple(tuple(part.shape) for part in _parts_of(batch))


def _parts_of(batch):
    return [part for part in keras.tree.flatten(batch) if part is not None]


def _symbolic(spec):
    """Symbolic tensors like the elements of a `tf.data.Dataset`, or `None`."""
    parts = keras.tree.flatten(spec)
    if any(getattr(part.shape, "rank", 0) is None for part in parts):
        return None
    return keras.tree.map_structure(
        lambda part: keras.KerasTensor(tuple(part.shape), part.dtype.name),
        spec,
    )


def _chain(first, rest):
    yield first
    yield from rest


def _refuse_beside_a_source(x, **arguments):
    """Refuses what a data source has already decided."""
    for name, value in arguments.items():
        if value is not None and x is not None:
            raise ValueError(
                f"`{name}` goes with arrays. A data source makes its own "
                "batches, of positives, or of `(positives, labels)`, or of "
                "`(positives, labels, weights)`. Received: "
                f"x={type(x).__name__}, {name} of type {type(value).__name__}"
            )


def _refuse_weights(sample_weight):
    if sample_weight is not None:
        raise ValueError(
            "`sample_weight` cannot be used with samples and labels, which are "
            "grouped by class first. Give `fit` a data source of grouped "
            "batches `(positives, labels, weights)`. Received: sample_weight "
            f"of shape {np.shape(sample_weight)}"
        )


def _parts(y, sample_weight, size):
    return tuple(None if v is None else v[:size] for v in (y, sample_weight))


def _as_arrays(x, y, sample_weight):
    arrays = tuple(map(_as_array, (x, y, sample_weight)))
    for name, array in zip(("x", "y", "sample_weight"), arrays, strict=True):
        checks.no_masked_entries(name, array)
        if name != "y":  # of labels, whose type is checked with their values
            checks.no_objects(name, array)
    return arrays


def _as_array(data):
    """Converts lists and pandas data frames to NumPy arrays."""
    if hasattr(data, "to_numpy"):
        return data.to_numpy()
    return np.asarray(data) if isinstance(data, (list, tuple)) else data
