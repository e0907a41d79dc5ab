"""What the callbacks ask of the model they are attached to."""


def require_drift_model(callback, model):
    """Raises if `model` is not one of this library's."""
    # Known by what it has: models stand above callbacks, and imports point
    # down.
    if not (hasattr(model, "drift") and hasattr(model, "generate")):
        raise TypeError(
            f"`{type(callback).__name__}` works with a `keras_drift.DriftModel`"
            f". Received: model={type(model).__name__}"
        )
