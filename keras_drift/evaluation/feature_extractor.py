"""Networks that map images to the features of published metrics."""

import os
import pathlib

import keras
import numpy as np

from keras_drift import encoders
from keras_drift import fingerprints
from keras_drift.evaluation.inception import Inception
from keras_drift.evaluation.network_features import NetworkFeatures


class FeatureExtractor:
    """Maps images to features, and to logits where it is a classifier.

    Args:
        function: callable from uint8 images `(n, height, width, channels)` to
            float features `(n, dim)`, or to a pair of features and logits.
        image_shape: tuple of ints, the shape of an image.
        fingerprint: str, what the function is identified by. Defaults to
            `None`: the features of a few images.
    """

    def __init__(self, function, image_shape, fingerprint=None):
        self.function = function
        # Four images of noise, from black to white.
        levels = np.random.default_rng(0).integers(
            256, size=(4, *image_shape), dtype="uint8"
        )
        self.dim = self.num_classes = None
        features, logits = self(levels, batch_size=4)
        self.dim = features.shape[1]
        self.num_classes = None if logits is None else logits.shape[1]
        if fingerprint is None:
            outputs = [features] if logits is None else [features, logits]
            fingerprint = fingerprints.of_arrays(*outputs)
        self.fingerprint = fingerprint

    def __call__(self, images, batch_size):
        """Extracts features.

        Args:
            images: uint8 array `(n, height, width, channels)`.
            batch_size: int, images in one forward pass.

        Returns:
            A pair: features `(n, dim)`, float32; logits `(n, classes)`,
            float32, or `None`.
        """
        found = [
            self._checked(images[i : i + batch_size])
            for i in range(0, len(images), batch_size)
        ]
        features, logits = zip(*found, strict=True)
        logits = None if logits[0] is None else np.concatenate(logits)
        return np.concatenate(features), logits

    def _checked(self, images):
        found = self.function(images)
        pair = found if isinstance(found, (tuple, list)) else (found, None)
        if len(pair) != 2:
            raise ValueError(
                "`features` returns the features of images, or a pair of "
                f"features and logits. Received: {len(pair)} outputs"
            )
        arrays = []
        for name, value in zip(("features", "logits"), pair, strict=True):
            if value is None and name == "logits":
                arrays.append(None)
                continue
            array = np.asarray(keras.ops.convert_to_numpy(value), "float32")
            if array.ndim != 2 or len(array) != len(images):
                raise ValueError(
                    f"The {name} of `features` are one row for each image, "
                    f"`(n, dim)`. Received: {name} of shape {array.shape} for "
                    f"{len(images)} images"
                )
            if not np.all(np.isfinite(array)):
                raise ValueError(
                    f"The {name} of `features` must be finite. Received: "
                    f"{name} with NaN or infinity"
                )
            arrays.append(array)
        return tuple(arrays)


def resolve(features, feature_name, inception_weights, image_shape):
    """Returns the extractor for the argument `features`.

    Args:
        features: see `evaluate`.
        feature_name: see there.
        inception_weights: see there.
        image_shape: tuple of ints, the shape of an image.

    Returns:
        A `FeatureExtractor`.
    """
    is_network = not callable(features) or isinstance(
        features, keras.layers.Layer
    )
    if feature_name is not None and (features == "inception" or not is_network):
        raise ValueError(
            "`feature_name` names a feature of an encoder, or an output of a "
            f"Keras model. Received: feature_name={feature_name!r}, "
            f"features={features!r}"
        )
    if inception_weights is not None and features != "inception":
        raise ValueError(
            '`inception_weights` are those of features="inception". '
            f"Received: inception_weights={inception_weights!r}, "
            f"features={features!r}"
        )
    if features == "inception":
        network = Inception(inception_weights)
        return FeatureExtractor(network, image_shape, network.fingerprint)
    if isinstance(features, (str, os.PathLike)):
        network, fingerprint = _loaded(features, feature_name)
    elif callable(features):
        network, fingerprint = features, None
    else:
        raise TypeError(
            '`features` is "inception", the path of a `.keras` file, an '
            "encoder or its preset, a Keras model, or a function from uint8 "
            f"images to features. Received: features={features!r}"
        )
    if isinstance(network, keras.layers.Layer):
        network = NetworkFeatures(network, feature_name, image_shape)
    return FeatureExtractor(network, image_shape, fingerprint)


def _loaded(features, feature_name):
    """A network from a file or preset, and its fingerprint or `None`."""
    path = pathlib.Path(features).expanduser()
    if path.suffix != ".keras":
        return encoders.Encoder.from_preset(os.fspath(features)), None
    if not path.is_file():
        raise ValueError(
            "`features` is the path of a Keras model, and there is no such "
            f"file. Received: features={os.fspath(features)!r}"
        )
    network = keras.saving.load_model(path, compile=False)
    name = "" if feature_name is None else f"/{feature_name}"
    return network, fingerprints.of_file(path) + name
