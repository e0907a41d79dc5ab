"""A Keras network as a function from images to features."""

from keras import ops

from keras_drift import backend
from keras_drift import checks


class NetworkFeatures:
    """Features of a Keras model or an encoder, of images in `[-1, 1]`.

    Args:
        network: `keras.Model` or `keras.layers.Layer`.
        feature_name: str, the one of its outputs to take, if it returns a dict;
            or `None`.
        image_shape: tuple of ints, the shape of an image.
    """

    def __init__(self, network, feature_name, image_shape):
        self.network = network
        self.feature_name = feature_name
        _check_input(network, image_shape)
        if not network.built:
            network.build((None, *image_shape))
        self._program = backend.jit(self._outputs, network.variables)

    def __call__(self, images):
        images = images.astype("float32") / 127.5 - 1.0
        features, logits = self._program(images)
        return features, None if _is_absent(logits) else logits

    def _outputs(self, images):
        outputs = self.network(images, training=False)
        if isinstance(outputs, dict):
            features = outputs[self._name_among(outputs)]
            logits = outputs.get("logits") if "features" in outputs else None
        else:
            self._refuse_name()
            several = isinstance(outputs, (list, tuple))
            if several and len(outputs) != 2:
                raise ValueError(
                    "The network of `features` returns one tensor, a pair of "
                    "features and logits, or a dict. Received: "
                    f"{len(outputs)} outputs"
                )
            features, logits = outputs if several else (outputs, None)
        features = _one_row(features)
        # Compiled functions return tensors only.
        return features, ops.zeros((0,)) if logits is None else logits

    def _refuse_name(self):
        if self.feature_name is not None:
            raise ValueError(
                "The network of `features` does not return a dict, so its "
                "features have no names. Leave out `feature_name`. "
                f"Received: feature_name={self.feature_name!r}"
            )

    def _name_among(self, outputs):
        names = list(outputs)
        if self.feature_name is not None:
            return checks.choice("feature_name", self.feature_name, names)
        return "features" if "features" in names else names[-1]


def _is_absent(logits):
    return tuple(logits.shape) == (0,)


def _one_row(feature):
    """`(n, ..., dim)` to `(n, dim)`: the mean over all positions."""
    rank = len(feature.shape)
    feature = ops.cast(feature, "float32")
    if rank > 2:
        return ops.mean(feature, axis=tuple(range(1, rank - 1)))
    return feature


def _check_input(network, image_shape):
    inputs = getattr(network, "inputs", None)
    if not inputs:
        return
    expected = tuple(inputs[0].shape)
    if len(inputs) > 1 or not checks.fits((None, *image_shape), expected):
        shapes = [tuple(each.shape[1:]) for each in inputs]
        raise ValueError(
            "The network of `features` takes the images of the model, in "
            "[-1, 1]. Put a `keras.layers.Resizing` in front of a network of "
            f"another size. Received: a network of inputs {shapes}, images of "
            f"shape {tuple(image_shape)}"
        )
