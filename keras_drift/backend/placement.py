"""Collectives over the replicas that a batch is distributed over.

A replica is a copy of the model that is given a share of every batch: that of a
device under a `tf.distribute.Strategy` (TensorFlow), or that of a process of
`torch.distributed` (PyTorch). On JAX, one program sees the whole batch: there
is one replica, and all of these functions return their argument, as they do on
one device and outside of a training step under a `Strategy`.

A batch has a group axis and a sample axis, and one of the two is distributed,
the `placement` of the batch:

- `"groups"`: every replica holds whole groups. No pair of points crosses a
  device; only the means over the batch are global.
- `"samples"`: every replica holds the same share of the samples of every group.
  The points that its samples interact with are gathered from all replicas.
- `"local"`: nothing is exchanged. The tensors are the whole batch, or the field
  is that of the share alone.

Loops over blocks run inside of the share of one replica, never along the
distributed axis. Collectives have no gradients.
"""

import keras

if keras.backend.backend() == "torch":
    from keras_drift.backend import torch_replicas as _replicas
elif keras.backend.backend() == "tensorflow":
    from keras_drift.backend import tensorflow_replicas as _replicas
else:
    from keras_drift.backend import one_replica as _replicas

# The axis of a batch that is distributed.
PLACEMENTS = ("groups", "samples", "local")

RECEIVES_SHARES = _replicas.RECEIVES_SHARES
averaged_gradients = _replicas.averaged_gradients
check_placement = _replicas.check_placement
check_shares = _replicas.check_shares
equalize = _replicas.equalize
join_processes = _replicas.join_processes
num_available_devices = _replicas.num_available_devices
num_replicas = _replicas.num_replicas
of_all_processes = _replicas.of_all_processes
replica_index = _replicas.replica_index
replicas_of = _replicas.replicas_of
share = _replicas.share
share_of_loss = _replicas.share_of_loss
wait_for_all = _replicas.wait_for_all


def global_mean(x, placement="groups"):
    """Averages a tensor over all replicas.

    Replicas hold equal shares, so the average of their means is the mean over
    the batch, and the ratio of two averages that of the sums over the batch.

    Args:
        x: float tensor, a mean or a sum over the share of this replica.
        placement: `"groups"` or `"samples"`; or `"local"`, where `x` is
            returned. Defaults to `"groups"`.

    Returns:
        A tensor shaped like `x`, the same on all replicas, without gradients.
    """
    return x if placement == "local" else _replicas.all_mean(x)


def gather(x, axis=0, placement="samples"):
    """Concatenates the shares of all replicas.

    Args:
        x: tensor, the share of this replica.
        axis: int, the axis that is divided. Defaults to `0`.
        placement: `"samples"`; or `"groups"` or `"local"`, where the share
            holds all samples of its groups, and `x` is returned. Defaults to
            `"samples"`.

    Returns:
        A tensor that holds the shares in the order of the replicas, without
        gradients.
    """
    return _replicas.all_gather(x, axis) if placement == "samples" else x
