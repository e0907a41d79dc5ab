"""How the devices of a run divide a batch."""

import math
from typing import NamedTuple

from keras_drift import backend
from keras_drift.encoders import Identity
from keras_drift.training import shares
from keras_drift.training.data_batch import is_flat


class BatchSplit(NamedTuple):
    """The division of one batch.

    Attributes:
        groups: int, those of all processes.
        positives: int, those of a group, in all processes.
        generated: int, generated samples of a group.
        axis: `"groups"`, `"samples"` or `None`.
        per_device: int, groups or samples of a device.
        padding: int, groups or samples that are padding, on all devices.
        data_shares: int, the devices that the data are divided over.
        generated_shares: int, those that the generated samples are.
        notes: tuple of str.
    """

    groups: int
    positives: int
    generated: int
    axis: str | None
    per_device: int
    padding: int = 0
    data_shares: int = 1
    generated_shares: int = 1
    notes: tuple = ()


def split(model, data, batch):
    """Finds how devices divide a batch; refuses one that leaves some idle.

    Args:
        model: the `DriftModel`.
        data: the batch as the data source gives it.
        batch: the `DataBatch` of it, with a static number of samples.

    Returns:
        A `BatchSplit`.
    """
    flat = is_flat(data, model.generator)
    groups, positives = batch.positives.shape[:2]
    if backend.num_devices() > 1:
        return _of_one_program(model, groups, positives)
    replicas = backend.replicas_of(model)
    axis = shares.placement_of(batch, flat, replicas)
    generated = model.num_generated or positives
    size = groups if axis == "groups" else generated
    if axis == "samples":
        shares.check_divides(generated, replicas, "generated samples")
    found = BatchSplit(
        groups,
        positives,
        generated,
        axis,
        size // replicas,
        data_shares=replicas,
        generated_shares=replicas,
    )
    _check_local(model, found)
    return found


def _of_one_program(model, groups, positives):
    """On JAX, where one program computes for the devices of all processes."""
    devices, processes = backend.num_devices(), backend.num_processes()
    if groups == 1 and model.generator.num_classes is None:
        positives *= processes  # a process gives a share of the one group
    else:
        groups *= processes
    generated = model.num_generated or positives
    _check_devices(model, groups, generated, devices)
    axis = "groups" if groups >= devices else "samples"
    size = groups if axis == "groups" else generated
    per_device = math.ceil(size / devices)
    data_size = positives if groups == 1 else groups
    data_shares = processes if data_size % devices else devices
    generated_shares = 1 if groups * generated % devices else devices
    notes = []
    if data_shares < devices:
        given = "the whole batch of data"
        if data_shares > 1:
            given = "all that its process gives"
        notes.append(
            f"{devices} devices do not divide the {data_size:,} "
            f"{'samples' if groups == 1 else 'groups'} of a batch: each of "
            f"them is given {given}."
        )
    if generated_shares == 1:
        notes.append(
            f"{devices} devices do not divide the {groups * generated:,} "
            "generated samples of a batch: each of them generates, and "
            "encodes, all."
        )
    return BatchSplit(
        groups,
        positives,
        generated,
        axis,
        per_device,
        per_device * devices - size,
        data_shares,
        generated_shares,
        tuple(notes),
    )


def _check_devices(model, groups, generated, devices):
    """Refuses fewer samples, or pairs to compare, than there are devices."""
    # The tokens of a feature are compared like groups.
    of_field = max(groups, generated)
    is_plain = isinstance(model.encoder, Identity)
    if groups * generated < devices or (is_plain and of_field < devices):
        raise ValueError(
            "Devices are given whole groups, or samples of every group, and "
            "some of them would have none: use larger batches, or fewer "
            f"devices. Received: batches of {groups} groups of {generated} "
            f"generated samples, {devices} devices"
        )


def _check_local(model, found):
    """Refuses a local field of lone samples."""
    lone = found.axis == "samples" and found.per_device == 1
    excluded = model.drift.self_interaction == "excluded"
    if model.field_scope == "local" and lone and excluded:
        raise ValueError(
            "With field_scope='local', the negatives of a sample are the "
            "others of its replica, and here there is no other one. Use "
            "larger batches, or field_scope='global'. Received: one generated "
            f"sample on each of {found.data_shares} replicas"
        )
