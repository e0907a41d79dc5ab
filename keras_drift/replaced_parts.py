"""Parts of a layer that others take the place of."""


def untrack(layer, part):
    """Stops the tracking of a part that is replaced.

    Otherwise Keras goes on training and saving it.

    Args:
        layer: a `keras.layers.Layer`, from here on open to other parts.
        part: the `keras.layers.Layer` that it had as an attribute, or `None`.
    """
    layer._tracker.unlock()
    layer._tracker.untrack(part)
