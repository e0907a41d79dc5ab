"""Warnings that name the line of the user's code."""

import sys
import warnings

# Of what lies between a call of this library and the line of a warning.
_SKIPPED = (
    "contextlib",
    "jax",
    "keras",
    "keras_drift",
    "tensorflow",
    "torch",
)


def warn(message):
    """Issues a `UserWarning` at the innermost line outside of this library.

    Whether arrays, a data set, `fit` or `train_on_batch` was called, the
    warning names the line of the user, which a `stacklevel` written by hand
    cannot where several paths lead to a warning. On a thread that a library
    has started there is no such line, and the warning names that of the thread.

    Args:
        message: str.
    """
    # With Python 3.12, `skip_file_prefixes` of `warnings.warn` does this.
    warnings.warn(message, stacklevel=_level_of_user())


def _level_of_user():
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and _is_skipped(frame):
        frame, level = frame.f_back, level + 1
    return level


def _is_skipped(frame):
    name = frame.f_globals.get("__name__", "")
    return name.partition(".")[0] in _SKIPPED
