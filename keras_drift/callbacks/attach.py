"""Checks of the model that a callback is attached to."""


def require_drift_model(callback, model):
    """Raises a `TypeError` if `model` is not a `DriftModel`."""
    # By its attributes: `models` is a layer above.
    if not (hasattr(model, "drift") and hasattr(model, "generate")):
        raise TypeError(
            f"`{type(callback).__name__}` works with a `keras_drift.DriftModel`"
            f". Received: model={type(model).__name__}"
        )
