"""Says which backend is missing where Keras cannot be imported."""

import importlib.util
import os

try:
    import keras  # noqa: F401
except ModuleNotFoundError as error:
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if error.name not in ("jax", "tensorflow", "torch"):
        raise
    names = ("jax", "tensorflow", "torch")
    installed = [each for each in names if importlib.util.find_spec(each)]
    lines = [f'pip install "keras-drift[{each}]"' for each in names]
    if not installed:
        message = (
            "Keras runs on a backend, and none is installed here. Install one: "
            f"{', '.join(lines[:-1])} or {lines[-1]}. Then set the environment "
            "variable KERAS_BACKEND to its name, before Keras is imported; "
            "without it Keras takes 'tensorflow'."
        )
    else:
        message = (
            f"Keras is set to run on {backend!r}, which is not installed here. "
            "Set the environment variable KERAS_BACKEND to the backend that is "
            f"({' or '.join(installed)}), before Keras is imported; without it "
            "Keras takes 'tensorflow'. Or install the backend: "
            f'pip install "keras-drift[{backend}]".'
        )
    raise ModuleNotFoundError(message, name=error.name) from error
