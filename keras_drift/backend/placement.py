"""Collectives over the devices that a batch is distributed over.

A batch has a group axis and a sample axis, and one of the two is distributed,
the `placement` of the batch:

- `"groups"`: every device holds whole groups. No pair of points crosses a
  device; only the means over the batch are global.
- `"samples"`: every device holds the same share of the samples of every group.
  The points that its samples interact with are gathered from all devices.

Loops over blocks run inside of the share of one device, never along the
distributed axis. A program on one device has nothing to distribute: both
functions return their argument.
"""

# The axis of a batch that is distributed.
PLACEMENTS = ("groups", "samples")


def global_mean(x, placement="groups"):
    """Averages a tensor over all devices.

    Devices hold equal shares, so the average of their means is the mean over
    the batch, and the ratio of two averages that of the sums over the batch.

    Args:
        x: float tensor, a mean or a sum over the share of this device.
        placement: `"groups"` or `"samples"`. Defaults to `"groups"`.

    Returns:
        A tensor shaped like `x`, the same on all devices.
    """
    del placement  # one device
    return x


def gather(x, axis, placement="groups"):
    """Concatenates the shares of all devices along the sample axis.

    Args:
        x: tensor, the share of this device.
        axis: int, the sample axis.
        placement: `"groups"`, where the share of a device holds all samples of
            its groups, and `x` is returned; or `"samples"`. Defaults to
            `"groups"`.

    Returns:
        A tensor that holds the shares in the order of the devices.
    """
    del axis, placement  # one device
    return x
