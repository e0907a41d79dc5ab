"""Freezes layers: the networks that training leaves as they are."""


def freeze(layer):
    """Freezes a layer, with the variables made since it was frozen last.

    Args:
        layer: a `keras.layers.Layer`.
    """
    # On TensorFlow, setting an attribute to the value it has does nothing.
    layer.trainable = True
    layer.trainable = False
