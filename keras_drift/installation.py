"""Says which backend is missing where Keras cannot be imported."""

import os

try:
    import keras  # noqa: F401
except ModuleNotFoundError as error:
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if error.name not in ("jax", "tensorflow", "torch"):
        raise
    raise ModuleNotFoundError(
        f"Keras is set to run on {backend!r}, which is not installed here. Set "
        "the environment variable KERAS_BACKEND to the backend that is, 'jax', "
        "'tensorflow' or 'torch', before Keras is imported; without it Keras "
        "takes 'tensorflow'. Or install the backend: "
        f'pip install "keras-drift[{backend}]".',
        name=error.name,
    ) from error
