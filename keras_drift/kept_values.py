"""Values of variables that a computation may change for a while."""

import contextlib

from keras_drift import backend


@contextlib.contextmanager
def kept(variables):
    """Context manager that restores the values of variables."""
    values = [backend.host_value(v).copy() for v in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
