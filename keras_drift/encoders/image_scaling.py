"""Scales images to the values that a pretrained network expects."""

import keras
import numpy as np
from keras import layers
from keras import ops

from keras_drift import checks

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_CAFFE_MEAN = (103.939, 116.779, 123.68)
# Scale and offset of images in [0, 1].
_MODES = {
    "[0, 1]": (1.0, 0.0),
    "[0, 255]": (255.0, 0.0),
    "imagenet": (
        1 / np.array(IMAGENET_STD),
        -np.array(IMAGENET_MEAN) / IMAGENET_STD,
    ),
    "caffe": (255.0, -np.array(_CAFFE_MEAN)),
}


@keras.saving.register_keras_serializable("keras_drift")
class ImageScaling(layers.Layer):
    """Scales images in `[-1, 1]` to the values that a network expects.

    Args:
        mode: str, one of `"[0, 1]"`; `"[0, 255]"`; `"imagenet"`, `[0, 1]`
            normalized by the mean and standard deviation of each channel in
            ImageNet; `"caffe"`, `[0, 255]` less the mean of each channel, the
            channels in the order blue, green, red.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        images: float tensor `(..., channels)` in `[-1, 1]`.

    Returns:
        float tensor of the same shape.

    Example:

    >>> from keras_drift.encoders.image_scaling import ImageScaling
    >>> float(ImageScaling("[0, 255]")(np.zeros(())))
    127.5
    """

    def __init__(self, mode, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)
        self.mode = checks.choice("preprocessing", mode, tuple(_MODES))

    def build(self, input_shape):
        size = len(np.atleast_1d(_MODES[self.mode][1]))
        if size > 1 and tuple(input_shape)[-1:] != (size,):
            raise ValueError(
                f"Images are scaled by channel, of which {self.mode!r} has "
                f"{size}. Received: preprocessing={self.mode!r}, samples of "
                f"shape {tuple(input_shape)[1:]}"
            )
        self.built = True

    def call(self, images):
        scale, offset = (
            ops.convert_to_tensor(np.float32(value))
            for value in _MODES[self.mode]
        )
        if self.mode == "caffe":
            images = ops.flip(images, axis=-1)
        return (images + 1) / 2 * scale + offset

    def compute_output_shape(self, input_shape):
        """The shape of the images."""
        return input_shape

    def get_config(self):
        return {**super().get_config(), "mode": self.mode}


def get(preprocessing):
    """Returns the layer for a layer, a name or `None`."""
    if preprocessing is None or isinstance(preprocessing, layers.Layer):
        return preprocessing
    if isinstance(preprocessing, str):
        return ImageScaling(preprocessing)
    raise TypeError(
        "`preprocessing` is a Keras layer from samples to what the model "
        f"expects, or one of {', '.join(map(repr, _MODES))}. A function has "
        "no config: write it as a layer. "
        f"Received: preprocessing={preprocessing!r}"
    )
