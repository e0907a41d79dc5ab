"""Prepares training batches: noise, guidance scales, negatives."""

import keras
from keras import ops

from keras_drift import backend
from keras_drift.training import adaptation
from keras_drift.training import shares
from keras_drift.training.data_batch import DataBatch
from keras_drift.training.data_batch import check_negatives
from keras_drift.training.data_batch import is_flat
from keras_drift.training.training_batch import TrainingBatch


def prepare(model, data, step, training):
    """Draws noise and guidance scales, and generates independent negatives.

    Args:
        model: the `DriftModel`.
        data: a batch of the data source.
        step: int or int scalar tensor, the optimizer step.
        training: bool.

    Returns:
        A `TrainingBatch`.
    """
    guided = model.guidance_sampler is not None
    given, data = data, DataBatch.parse(data, model.generator, guided)
    placement = shares.placement_of(
        data, is_flat(given, model.generator), backend.num_replicas()
    )
    data = shares.share_of(data, placement)
    groups, positives = ops.shape(data.positives)[:2]
    count = shares.generated_per_group(
        model.num_generated, positives, placement
    )
    check_negatives(
        model.drift, shares.whole_group(count, placement), guided, training
    )
    scales = _guidance_scales(model, data, groups, placement)
    inputs = model.draw_inputs(data, groups, count, scales)
    batch = TrainingBatch(
        inputs,
        *data,
        guidance_scale=scales,
        step_size=_step_size(model, step),
        measure_signal=adaptation.is_due(model, step) if training else None,
    ).share_along(placement)
    if model.drift.self_interaction == "independent":
        others = model.draw_inputs(data, groups, count, scales)
        if model.stop_gradient:
            other_batch = batch._replace(inputs=others)
            negatives = model(other_batch, training=training)
            batch = batch._replace(negatives=negatives)
        else:
            batch = batch._replace(negative_inputs=others)
    if training and model.frozen_steps > 1:
        features = model.objective.features(model(batch, training=True))
        targets = model.compute_targets(features, batch)
        batch = batch._replace(targets=targets)
    return batch


def draw_inputs(model, data, groups, count, scales):
    """Draws the generator's inputs for `count` samples of every group."""
    inputs = shares.drawn(
        lambda count: model.generator.sample_noise(count, model.seed_generator),
        groups * count,
    )
    if data.labels is not None:
        # A negative one would count from the last class, without a word. From
        # beyond its table, JAX reads NaN, and the other backends raise, but for
        # TensorFlow under `jit_compile=True`.
        labels = ops.cast(data.labels, "int32")
        is_class = (labels >= 0) & (labels < model.generator.num_classes)
        labels = ops.where(is_class, labels, 2**31 - 1)
        inputs["labels"] = ops.repeat(labels, count)
        inputs["guidance"] = ops.repeat(scales, count)
    return backend.spread(inputs)


def counted_positives(batch):
    """Positives for metrics, which take no weights: `(num_samples, ...)`.

    Metrics compare the even samples with the odd ones, so several groups give
    an even number of samples each: halves in which classes have other shares
    would be further apart than those of any generator. An odd positive, the
    last of its group, is left out.

    Weighted positives are resampled, at evenly spaced quantiles of the total
    weight of their group (systematic resampling), so a sample of weight zero is
    never selected. The lower half of the quantiles becomes the even samples,
    lest copies of one sample be on both sides.
    """
    positives = batch.positives
    groups, size = ops.shape(positives)[:2]
    kept = _counted_per_group(groups, size)
    if batch.weights is None:
        return ops.reshape(positives[:, :kept], (-1, *positives.shape[2:]))
    samples = ops.reshape(positives, (-1, *positives.shape[2:]))
    index = _resampled(batch.weights, kept)
    samples = ops.take(samples, ops.reshape(index, (-1,)), axis=0)
    # A group without a positive has nothing to compare with, which must show.
    present = ops.repeat(ops.sum(batch.weights, axis=1) > 0, kept)
    present = ops.reshape(present, (-1,) + (1,) * (len(samples.shape) - 1))
    return ops.cast(ops.where(present, samples, float("nan")), samples.dtype)


def _counted_per_group(groups, size):
    """How many of the `size` positives of each group metrics are given."""
    if isinstance(size, int) and (size % 2 == 0 or size == 1):
        return size
    if isinstance(groups, int) and isinstance(size, int):
        return size - 1 if groups > 1 else size
    drops = (groups > 1) & (size > 1)
    return ops.where(drops, size - size % 2, size)


def _resampled(weights, count):
    """Indices `(groups, count)` into the samples of all groups."""
    groups, size = ops.shape(weights)
    mass = ops.cumsum(weights, axis=1)
    total = mass[:, -1:]
    mass = mass / ops.where(total > 0, total, ops.ones_like(total))
    place = ops.arange(count, dtype="int32")
    quantile = ops.where(
        place % 2 == 0, place // 2, (count + 1) // 2 + place // 2
    )
    levels = (ops.cast(quantile, "float32") + 0.5) / ops.cast(count, "float32")
    # All groups in one sorted sequence: group `g` from `g` to `g + 1`.
    group = ops.arange(groups, dtype="int32")[:, None]
    offset = ops.cast(group, "float32")
    index = ops.searchsorted(
        ops.reshape(mass + offset, (-1,)),
        ops.reshape(levels[None, :] + offset, (-1,)),
        side="right",
    )
    index = ops.reshape(ops.cast(index, "int32"), (groups, count))
    index = index - group * size
    return ops.clip(index, 0, size - 1) + group * size


def _guidance_scales(model, data, groups, placement):
    """Guidance scales `(groups,)`, or `None` without classes."""
    if data.labels is None:
        return None
    if model.guidance_sampler is None:
        return ops.ones((groups,), "float32")

    def draw(groups):
        sampler = model.guidance_sampler
        return sampler.sample((groups,), model.seed_generator)

    # All replicas hold the same group, with one scale, or groups of their own.
    if placement == "samples":
        return draw(groups)
    return shares.drawn(draw, groups)


def _step_size(model, step):
    size = model.step_size
    size = size(step) if callable(size) else size
    return keras.ops.cast(keras.ops.convert_to_tensor(size), "float32")
