"""Parses and validates one batch of data."""

from typing import Any
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_drift import checks
from keras_drift import user_warnings
from keras_drift.byte_order import native


class DataBatch(NamedTuple):
    """One batch of data, in groups.

    Attributes:
        positives: float32 tensor `(groups, positives, *sample_shape)`.
        labels: int tensor `(groups,)`, or `None` without classes.
        unconditional: float32 tensor `(groups, unconditional, *sample_shape)`,
            samples of all classes for guidance, or `None`.
        weights: float32 tensor `(groups, positives)`, or `None` for ones.
    """

    positives: Any
    labels: Any = None
    unconditional: Any = None
    weights: Any = None

    @classmethod
    def parse(cls, data, generator, needs_unconditional=False):
        """Parses a batch of a data source.

        It checks ranks, shapes and types only, so it runs inside compiled code
        and on symbolic tensors.

        Args:
            data: positives, or `(positives, labels)`, or `(positives, labels,
                sample_weight)`. Positives may be a dict with `"positives"`,
                `"unconditional"` and `"weights"`.
            generator: the `Generator` that the samples are for.
            needs_unconditional: bool, whether guidance is trained. Defaults to
                `False`.

        Returns:
            A `DataBatch`.
        """
        _check_ranks(data)
        x, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        _check_labels_are_there(labels, generator)
        unconditional = None
        if isinstance(x, dict):
            _check_keys(x)
            unconditional = x.get("unconditional")
            if weights is not None and "weights" in x:
                raise ValueError(
                    "Give the weights of a batch in its dict or as "
                    "`sample_weight`, not both. "
                    "Received: 'weights' and sample_weight"
                )
            weights = x.get("weights", weights)
            x = x["positives"]
        if is_flat(x, generator):
            rank = len(generator.sample_shape) + 1
            x, weights = _one_group(x), _one_group(weights)
            if unconditional is not None and len(unconditional.shape) == rank:
                unconditional = _one_group(unconditional)
        batch = cls(x, labels, unconditional, weights)
        _check_types(batch)
        _check_positives(batch, generator)
        _check_condition(batch, generator, needs_unconditional)
        return cls(
            _as_float32(x),
            labels,
            _as_float32(unconditional),
            _as_float32(weights),
        )


def is_flat(data, generator):
    """Whether a batch of a data source is one group, without a group axis."""
    x, *_ = keras.utils.unpack_x_y_sample_weight(data)
    x = x["positives"] if isinstance(x, dict) and "positives" in x else x
    rank = len(generator.sample_shape) + 1
    return len(x.shape) == rank and generator.num_classes is None


def _one_group(value):
    """Adds a group axis of size 1."""
    if isinstance(value, keras.KerasTensor):
        return ops.expand_dims(value, 0)
    return None if value is None else value[None]


def _as_float32(value):
    """Casts to float32, whatever `floatx` is; symbolic tensors are kept."""
    if value is None or isinstance(value, keras.KerasTensor):
        return value
    value = native(value)
    return ops.cast(ops.convert_to_tensor(value), "float32")


def _check_ranks(data):
    """Refuses tensors of which not even the number of axes is known."""
    for value in keras.tree.flatten(data):
        if getattr(getattr(value, "shape", None), "rank", 0) is None:
            raise ValueError(
                "A batch needs known numbers of axes. Give them in a `map` of "
                "the data set, as by `tf.ensure_shape(samples, (None, "
                "*sample_shape))`. Received: a tensor of unknown shape"
            )


def _check_keys(parts):
    if set(parts) - {"positives", "unconditional", "weights"} or (
        "positives" not in parts
    ):
        raise ValueError(
            "A batch given as a dict holds 'positives' and, where they are "
            "needed, 'unconditional' samples and 'weights' of the positives. "
            f"Received: keys {sorted(parts)}"
        )


def check_values(batch, generator):
    """Checks for values that are not finite and labels out of range.

    It runs on the host.

    Args:
        batch: a `DataBatch` of concrete tensors.
        generator: the `Generator` that the samples are for.
    """
    weights = batch.weights
    if weights is not None:
        weights = ops.convert_to_numpy(weights)
        _check_weights(weights)
    for name in ("positives", "unconditional"):
        value = getattr(batch, name)
        if value is None:
            continue
        value = ops.convert_to_numpy(value)
        finite = np.isfinite(value)
        if name == "positives" and weights is not None:
            # A sample of weight zero is absent, whatever its values.
            absent = (weights == 0).reshape(
                weights.shape + (1,) * (value.ndim - 2)
            )
            finite = finite | absent
        bad = np.argwhere(~finite)
        if bad.size:
            raise ValueError(
                f"The first batch holds {len(bad)} values that are NaN or "
                f"infinite among its {name}. Clean the data before training. "
                f"Received: {name}{bad[0].tolist()} = {value[tuple(bad[0])]}"
            )
    if batch.labels is not None:
        generator.check_labels(ops.convert_to_numpy(batch.labels))


def _check_weights(weights):
    if not np.all(np.isfinite(weights)) or np.any(weights < 0):
        wrong = ~(np.isfinite(weights) & (weights >= 0))
        raise ValueError(
            "`sample_weight` must be finite, and zero or positive. "
            f"Received: a weight of {weights[wrong][0]}"
        )
    empty = weights.sum(axis=1) == 0
    if np.any(empty):
        raise ValueError(
            "Every group needs a sample of positive weight: without data the "
            "drift is undefined. Received: weights that are all zero in group "
            f"{int(np.argmax(empty))}"
        )


def _check_types(batch):
    for name in ("positives", "unconditional"):
        value = getattr(batch, name)
        if value is None:
            continue
        checks.no_objects(name, value)
        dtype = keras.backend.standardize_dtype(value.dtype)
        if not keras.backend.is_float_dtype(dtype):
            raise ValueError(
                "Samples are floating-point numbers on the scale of the noise. "
                "Pixels from 0 to 255, for example, become "
                "`images.astype('float32') / 127.5 - 1`. "
                f"Received: {name} of type {value.dtype}"
            )
    if batch.labels is not None:
        dtype = getattr(batch.labels, "dtype", None)
        if dtype is None or not keras.backend.is_int_dtype(
            keras.backend.standardize_dtype(dtype)
        ):
            raise ValueError(
                "Labels are an array of class numbers, integers from 0 on. "
                "Received: labels of type "
                f"{dtype or type(batch.labels).__name__}"
            )


def _check_positives(batch, generator):
    shape, sample_shape = tuple(batch.positives.shape), generator.sample_shape
    if shape[-len(sample_shape) :] != sample_shape:
        raise ValueError(
            "The data must have the shape of the generated samples. "
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


def check_negatives(drift, count, guided, training):
    """Refuses guidance of lone samples, which have no negatives, or warns.

    Args:
        drift: the drift, with its `guidance_mode` and `self_interaction`.
        count: int, generated samples per group; a tensor if it is unknown.
        guided: bool, whether there are guidance scales.
        training: bool.
    """
    lone = isinstance(count, int) and count == 1
    if not lone or drift.self_interaction != "excluded":
        return
    if guided and drift.guidance_mode == "distribution":
        raise ValueError(
            "Unconditional samples are weighted relative to the negatives. A "
            "lone generated sample that excludes itself has none, so guidance "
            "would have no effect. Generate more samples of each group, or use "
            "a drift with guidance_mode='velocity' or "
            "self_interaction='independent'. Received: one generated sample "
            "for each group"
        )
    if training and not guided:  # unconditional samples are repulsive as well
        user_warnings.warn(
            "A lone generated sample that excludes itself has no negatives: "
            "all samples of a class move toward the same points of the data, "
            "and with normalization='dual' none moves at all. Generate more "
            "samples of each group, by a larger `batch_size` or "
            "`num_generated`, or use self_interaction='independent'. Received: "
            "one generated sample for each group"
        )
