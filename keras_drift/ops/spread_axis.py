"""Which axis of a batch is spread over the devices of a program."""

from keras_drift import backend


def spread_axis(x):
    """The axis of samples or pairs `(groups, n, ...)` to spread over devices.

    Groups need nothing of each other. Where there are fewer of them than
    devices, their samples are spread.

    Returns:
        0, 1, or `None` where there is one device.
    """
    devices = backend.num_shares(x)
    if devices == 1:
        return None
    return 0 if x.shape[0] >= devices else 1
