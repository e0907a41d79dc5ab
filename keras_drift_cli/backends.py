"""Chooses the backend of Keras before Keras is imported."""

import importlib.util
import json
import os
import pathlib

# The default of Keras is first: it writes it to its configuration file when it
# is first imported, and the next command finds it there.
NAMES = ("tensorflow", "jax", "torch")


def installed():
    """The backends that are installed, a list of names."""
    return [name for name in NAMES if importlib.util.find_spec(name)]


def choose(asked=None):
    """Chooses a backend, as Keras does, but never one that is missing.

    Args:
        asked: str, the backend of the command line. Defaults to `None`.

    Returns:
        `(name, reason)`, a str each. What was asked for is not replaced: its
        error says how to install it. The name is `None` where no backend is
        installed.
    """
    if asked is not None:
        return asked, "--backend"
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"], "the environment variable"
    found = installed()
    configured = _configured()
    if configured in found:
        return configured, "the file keras.json"
    if found:
        return found[0], "it is installed"
    return None, "none is installed"


def _configured():
    """The backend in the configuration file of Keras, or `None`."""
    home = os.environ.get("KERAS_HOME") or "~/.keras"
    path = pathlib.Path(home).expanduser() / "keras.json"
    try:
        return json.loads(path.read_text("utf-8")).get("backend")
    except (AttributeError, OSError, ValueError):
        return None
