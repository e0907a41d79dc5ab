"""Decoder of `MaskedAutoencoder`: from the maps of the encoder to pixels."""

from keras import layers
from keras import ops

from keras_drift.encoders.group_norm import group_norm
from keras_drift.encoders.residual_network import conv

# From coarse to fine, with the channels of each map, in units of the base.
_SKIPS = {"layer3": 4, "layer2": 2, "layer1": 1, "conv1": 1}


class UNetDecoder(layers.Layer):
    """U-Net decoder: upsamples the last map and joins the finer ones to it.

    Args:
        base_channels: int, that of the encoder.
        output_channels: int.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        maps: the dict of maps that `ResidualNetwork` returns.

    Returns:
        float32 tensor `(batch, height, width, output_channels)`, of the size of
        the map of the stem.
    """

    def __init__(self, base_channels, output_channels, **kwargs):
        super().__init__(**kwargs)
        dtype = self.dtype_policy
        self.base_channels = base_channels
        self.bridge = NormalizedConv(
            8 * base_channels, name="bridge", dtype=dtype
        )
        self.joins = [
            Join(factor * base_channels, name=f"join_{skip}", dtype=dtype)
            for skip, factor in _SKIPS.items()
        ]
        # Half precision would round the reconstruction.
        self.head = conv(
            output_channels, 1, name="head", dtype="float32", bias=True
        )

    def build(self, maps_shape):
        del maps_shape  # the channels follow from the base
        channels = 8 * self.base_channels
        self.bridge.build((None, None, None, channels))
        for join in self.joins:
            join.build((None, None, None, channels))
            channels = join.channels
        self.head.build((None, None, None, channels))

    def call(self, maps):
        x = self.bridge(maps["layer4"])
        for join, skip in zip(self.joins, _SKIPS, strict=True):
            x = join(x, maps[skip])
        return self.head(x)


class Join(layers.Layer):
    """Upsamples a map to the size of a finer one, and joins the two.

    Args:
        channels: int, those of the finer map and of the output.
        **kwargs: passed to `keras.layers.Layer`.
    """

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)
        dtype = self.dtype_policy
        self.channels = channels
        self.project = NormalizedConv(channels, name="project", dtype=dtype)
        self.refine = NormalizedConv(channels, name="refine", dtype=dtype)

    def build(self, coarse_shape):
        channels = coarse_shape[-1] + self.channels
        self.norm = group_norm(channels, name="norm", dtype=self.dtype_policy)
        self.norm.build((None, None, None, channels))
        self.project.build((None, None, None, channels))
        self.refine.build((None, None, None, self.channels))

    def call(self, coarse, fine):
        coarse = ops.image.resize(
            coarse, fine.shape[1:3], "bilinear", data_format="channels_last"
        )
        joined = self.norm(ops.concatenate([coarse, fine], axis=-1))
        return self.refine(self.project(joined))


class NormalizedConv(layers.Layer):
    """3x3 convolution, group norm and ReLU.

    Args:
        channels: int.
        **kwargs: passed to `keras.layers.Layer`.
    """

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)
        dtype = self.dtype_policy
        self.conv = conv(channels, 3, name="conv", dtype=dtype)
        self.norm = group_norm(channels, name="norm", dtype=dtype)

    def build(self, input_shape):
        self.conv.build(input_shape)
        self.norm.build((None, None, None, self.conv.filters))

    def call(self, x):
        return ops.relu(self.norm(self.conv(x)))
