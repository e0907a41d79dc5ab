"""What `fit` may be given as one batch, and its checks."""

from typing import Any
from typing import NamedTuple

import keras
import numpy as np
from keras import ops


class Batch(NamedTuple):
    """One batch of data, in groups.

    Attributes:
        positives: tensor `(groups, positives, *sample_shape)`.
        labels: int tensor `(groups,)`, or `None` without classes.
        unconditional: tensor `(groups, unconditional, *sample_shape)`, samples
            of all classes for guidance, or `None`.
        weights: tensor `(groups, positives)`, or `None` for ones.
    """

    positives: Any
    labels: Any = None
    unconditional: Any = None
    weights: Any = None


def parse(data, generator, needs_unconditional):
    """Reads what a data source yields as a `Batch`.

    Only ranks and shapes are looked at, so it runs inside compiled code too.

    Args:
        data: positives, or `(positives, labels)`, or `(positives, labels,
            sample_weight)`. Positives may be a dict with `"positives"` and
            `"unconditional"`.
        generator: the `Generator` that the samples are for.
        needs_unconditional: bool, whether guidance is trained.

    Returns:
        A `Batch`.
    """
    x, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
    _check_labels_are_there(labels, generator)
    unconditional = None
    if isinstance(x, dict):
        if set(x) - {"positives", "unconditional"} or "positives" not in x:
            raise ValueError(
                "A batch given as a dict holds 'positives' and, for guidance, "
                f"'unconditional'. Received: keys {sorted(x)}"
            )
        x, unconditional = x["positives"], x.get("unconditional")
    rank = len(generator.sample_shape) + 1
    if len(x.shape) == rank and generator.num_classes is None:
        x = x[None]
        weights = None if weights is None else weights[None]
        if unconditional is not None and len(unconditional.shape) == rank:
            unconditional = unconditional[None]
    batch = Batch(x, labels, unconditional, weights)
    _check_types(batch)
    _check_positives(batch, generator)
    _check_condition(batch, generator, needs_unconditional)
    return Batch(
        *(None if v is None else ops.convert_to_tensor(v) for v in batch)
    )


def check_values(batch, generator):
    """Looks for NaN and for labels that are no classes, on the host.

    Args:
        batch: what `parse` returned for concrete data.
        generator: the `Generator` that the samples are for.
    """
    for name in ("positives", "unconditional", "weights"):
        value = getattr(batch, name)
        if value is None:
            continue
        value = np.asarray(ops.convert_to_numpy(value), "float64")
        bad = np.argwhere(~np.isfinite(value))
        if bad.size:
            raise ValueError(
                f"The first batch holds {len(bad)} values that are NaN or "
                f"infinite among its {name}. Clean the data before training. "
                f"Received: {name}{bad[0].tolist()} = {value[tuple(bad[0])]}"
            )
        if name == "weights" and np.any(value < 0):
            raise ValueError(
                "`sample_weight` counts samples and cannot be negative. "
                f"Received: a smallest weight of {value.min()}"
            )
        if name == "weights" and np.any(value.sum(axis=1) == 0):
            raise ValueError(
                "Every group needs a sample of positive weight: there is "
                "nothing to be drawn to otherwise. Received: weights that are "
                f"all zero in group {int(np.argmin(value.sum(axis=1)))}"
            )
    if batch.labels is not None:
        generator.check_labels(ops.convert_to_numpy(batch.labels))


def _check_types(batch):
    for name in ("positives", "unconditional"):
        value = getattr(batch, name)
        if value is None:
            continue
        dtype = keras.backend.standardize_dtype(value.dtype)
        if not keras.backend.is_float_dtype(dtype):
            raise ValueError(
                "Samples are floating-point numbers of the scale of the noise. "
                "Pixels from 0 to 255, for example, become "
                "`images.astype('float32') / 127.5 - 1`. "
                f"Received: {name} of type {value.dtype}"
            )


def _check_positives(batch, generator):
    shape, sample_shape = tuple(batch.positives.shape), generator.sample_shape
    if shape[-len(sample_shape) :] != sample_shape:
        raise ValueError(
            "The data must have the shape of what the generator draws. "
            f"Received: a batch of shape {shape} for a generator of samples of "
            f"shape {sample_shape}"
        )
    if len(shape) == len(sample_shape) + 1:
        raise ValueError(
            "A generator with classes learns from batches in groups, one class "
            "each: positives `(groups, positives, *sample_shape)` and labels "
            "`(groups,)`. Give `fit` plain arrays of samples and labels, or "
            "make batches with `keras_drift.datasets.GroupedDataset`. "
            f"Received: a flat batch of shape {shape}"
        )
    if len(shape) != len(sample_shape) + 2:
        raise ValueError(
            "A batch is `(positives, *sample_shape)` or `(groups, positives, "
            f"*sample_shape)`, here with sample_shape={sample_shape}. "
            f"Received: a batch of shape {shape}"
        )
    if 0 in shape[:2]:
        raise ValueError(
            "Every batch needs at least one group and every group at least one "
            f"sample. Received: a batch of shape {shape}"
        )
    weights = batch.weights
    if weights is not None and tuple(weights.shape) != shape[:2]:
        raise ValueError(
            "`sample_weight` needs one number for each sample: shape "
            f"{shape[:2]}. Received: shape {tuple(weights.shape)}"
        )


def _check_labels_are_there(labels, generator):
    if generator.num_classes is None and labels is not None:
        raise ValueError(
            "This generator has no classes, so it cannot use labels. Give it "
            "`num_classes`, or fit on samples alone. Received: labels of shape "
            f"{tuple(labels.shape)}"
        )
    if generator.num_classes is not None and labels is None:
        raise ValueError(
            f"This generator has {generator.num_classes} classes and needs the "
            "labels of the data: `fit(samples, labels)`. Received: no labels"
        )


def _check_condition(batch, generator, needs_unconditional):
    groups = batch.positives.shape[0]
    labels = batch.labels
    if labels is not None and tuple(labels.shape) != (groups,):
        raise ValueError(
            f"Every group has one label: labels `(groups,)`, here ({groups},). "
            f"Received: labels of shape {tuple(labels.shape)}"
        )
    if needs_unconditional and batch.unconditional is None:
        raise ValueError(
            "Training for guidance needs samples of all classes beside the "
            "positives. Make batches with `GroupedDataset(..., "
            "unconditional=16)`. Received: no unconditional samples"
        )
    if batch.unconditional is not None:
        if generator.num_classes is None:
            raise ValueError(
                "Unconditional samples are for guidance, which strengthens a "
                "class, and this generator has no classes. Leave them out. "
                "Received: unconditional samples of shape "
                f"{tuple(batch.unconditional.shape)}"
            )
        shape = tuple(batch.unconditional.shape)
        if shape[0] != groups or shape[2:] != generator.sample_shape:
            raise ValueError(
                "Unconditional samples are `(groups, unconditional, "
                f"*sample_shape)`, here {(groups, '...')} and "
                f"{generator.sample_shape}. Received: shape {shape}"
            )
