"""Shares of a batch and of its random numbers, one for each replica."""

import keras
from keras import ops

from keras_drift import backend


def placement_of(data, flat, num_replicas):
    """The axis of a batch that is divided, or `None`: there is one replica.

    Args:
        data: a `DataBatch`.
        flat: bool, whether the data source gave it without a group axis.
        num_replicas: int >= 1.

    Returns:
        `"samples"` for a single group, otherwise `"groups"`.
    """
    if num_replicas == 1:
        return None
    # A share may be one group of several.
    is_whole = not backend.RECEIVES_SHARES
    one_group = flat or (is_whole and data.positives.shape[0] == 1)
    return "samples" if one_group else "groups"


def check_batch(data, flat, num_replicas):
    """Raises an error if the replicas do not divide a whole batch.

    Args:
        data: a `DataBatch`, of tensors or symbolic ones.
        flat: see `placement_of`.
        num_replicas: int >= 1.
    """
    placement = placement_of(data, flat, num_replicas)
    size = data.positives.shape[_axis(placement)]
    if placement is not None and size is not None:
        check_divides(size, num_replicas, placement)


def share_of(data, placement):
    """The share of this replica of a batch.

    Args:
        data: a `DataBatch`: the whole batch, or the share already.
        placement: what `placement_of` returned.

    Raises:
        ValueError: if the replicas do not divide the batch.
    """
    if placement is None:
        return data
    axis = _axis(placement)
    if backend.RECEIVES_SHARES:
        backend.check_shares(ops.shape(data.positives)[axis])
        return data

    def share(name, value):
        if value is None or (axis == 1 and name == "labels"):
            return value
        check_divides(value.shape[axis], backend.num_replicas(), placement)
        return backend.share(value, axis)

    return type(data)(
        **{name: share(name, value) for name, value in data._asdict().items()}
    )


def check_divides(size, num_replicas, placement):
    """Raises an error if replicas do not divide the groups, or the samples."""
    if size % num_replicas:
        raise ValueError(
            "Every replica is given equally many groups of a batch, or samples "
            "of a single group, so their number must be a multiple of the "
            "number of replicas. Use another batch size; under a `Strategy` of "
            "TensorFlow, batches of a single group have no group axis. "
            f"Received: a batch of {size} {placement}, {num_replicas} replicas"
        )


def drawn(draw, count):
    """Random numbers of this replica: its rows of those of the whole batch.

    All replicas draw the same numbers, which are those of a single device.

    Args:
        draw: callable from a number of rows to a nest of tensors.
        count: int or scalar tensor, the rows of this replica.
    """
    return keras.tree.map_structure(
        lambda rows: backend.share(rows, 0),
        draw(count * backend.num_replicas()),
    )


def generated_per_group(num_generated, positives, placement):
    """Generated samples in each group of this replica.

    Args:
        num_generated: int, those of the whole group; or `None`: as many as the
            group has positives.
        positives: int, or `None` if it is not static: positives of this
            replica.
        placement: what `placement_of` returned.
    """
    if num_generated is None:
        return positives
    if placement != "samples":
        return num_generated
    check_divides(num_generated, backend.num_replicas(), "generated samples")
    return num_generated // backend.num_replicas()


def whole_group(count, placement):
    """The size of a group on all replicas, from that on this one."""
    if placement != "samples":
        return count
    return count * backend.num_replicas()


def all_positives(batch):
    """The `TrainingBatch` with the positives of all replicas, and weights."""
    if batch.divided is None:
        return batch
    axis = _axis(batch.divided)
    weights = batch.weights
    return batch._replace(
        positives=backend.gather(batch.positives, axis),
        weights=None if weights is None else backend.gather(weights, axis),
    )


def layouts(model):
    """Context in which batches of any size are placed on devices.

    Args:
        model: the `DriftModel` whose batches they are.
    """
    return backend.divisible_layouts(model.generator.num_classes is not None)


def _axis(placement):
    return 1 if placement == "samples" else 0
