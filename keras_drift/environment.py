"""Environment variables of launchers."""

import os


def integer(name, default=None, least=0):
    """The integer in an environment variable.

    Args:
        name: str, of the variable.
        default: what is returned where it is absent or empty.
        least: int, the smallest number that it can be.

    Raises:
        ValueError: if it holds anything else.
    """
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise ValueError(
            f"The environment variable {name} is an integer >= {least}. "
            f"Received: {name}={text!r}"
        )
    return number
