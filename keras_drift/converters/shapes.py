"""Compares the arrays of a file with those of the network that it is for."""

from keras_drift import checks


def check(expected, received, may_hold=None):
    """Refuses arrays whose names and shapes are not those of a network.

    Args:
        expected: iterable of `(name, shape)`, advanced up to the first mistake
            only: a config that claims to be huge costs nothing.
        received: dict from the names of the arrays to their shapes.
        may_hold: function of a name, whether the file may hold an array of this
            name that is not among the expected. Defaults to `None`: of none.

    Raises:
        ValueError: if an array is missing, unknown or of another shape.
    """
    known = set()
    for name, shape in expected:
        known.add(name)
        if name not in received:
            raise ValueError(
                f"The weights lack the array {name!r} of shape {tuple(shape)}, "
                "which the network of their configuration has."
                f"{checks.did_you_mean(name, list(received))} "
                f"Received: {len(received)} arrays"
            )
        if tuple(received[name]) != tuple(shape):
            raise ValueError(
                f"The array {name!r} has the shape {tuple(shape)} in the "
                "network of this configuration. "
                f"Received: {name}.shape={tuple(received[name])}"
            )
    for name, shape in received.items():
        if name not in known and not (may_hold and may_hold(name)):
            raise ValueError(
                "The weights hold an array that the network of their "
                "configuration does not have."
                f"{checks.did_you_mean(name, sorted(known))} "
                f"Received: {name!r} of shape {tuple(shape)}"
            )
