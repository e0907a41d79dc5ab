"""Residual network whose maps are the features of `MAEResNet`."""

from keras import layers
from keras import ops

from keras_drift import backend
from keras_drift.encoders.group_norm import group_norm


class ResidualNetwork(layers.Layer):
    """Residual network with group norms: a stem and four stages.

    The stem has `base_channels` channels and the resolution of the input; each
    stage after the first halves the resolution and doubles the channels.

    Args:
        base_channels: int.
        num_blocks: four ints, the blocks of each stage.
        dropout: float in `[0, 1)`, the rate in the middle of each block.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        x: tensor `(batch, height, width, channels)`.
        training: bool, whether dropout is active.

    Returns:
        Two dicts of maps: `"conv1"` and `"layer1"` to `"layer4"`, the outputs
        of stem and stages; and `"layer1_blk1"`, ..., the outputs of the blocks,
        before the norm at the end of the stage.
    """

    def __init__(self, base_channels, num_blocks, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        dtype = self.dtype_policy
        self.conv = conv(base_channels, 3, name="conv", dtype=dtype)
        self.norm = group_norm(base_channels, name="norm", dtype=dtype)
        self.stages = []
        self.stage_norms = []
        for stage, count in enumerate(num_blocks):
            channels = base_channels * 2**stage
            self.stages.append(
                [
                    ResidualBlock(
                        channels,
                        halve=stage > 0 and block == 0,
                        dropout=dropout,
                        name=f"stage_{stage}_block_{block}",
                        dtype=dtype,
                    )
                    for block in range(count)
                ]
            )
            self.stage_norms.append(
                group_norm(channels, name=f"stage_{stage}_norm", dtype=dtype)
            )

    def build(self, input_shape):
        self.conv.build(input_shape)
        shape = (None, None, None, self.conv.filters)
        self.norm.build(shape)
        for blocks, norm in zip(self.stages, self.stage_norms, strict=True):
            for block in blocks:
                block.build(shape)
                shape = (None, None, None, block.channels)
            norm.build(shape)

    def call(self, x, training=None):
        x = ops.relu(self.norm(self.conv(x)))
        maps, block_maps = {"conv1": x}, {}
        stages = zip(self.stages, self.stage_norms, strict=True)
        for stage, (blocks, norm) in enumerate(stages, start=1):
            for index, block in enumerate(blocks, start=1):
                x = block(x, training=training)
                block_maps[f"layer{stage}_blk{index}"] = x
            x = norm(x)
            maps[f"layer{stage}"] = x
        return maps, block_maps


class ResidualBlock(layers.Layer):
    """Two 3x3 convolutions with group norms, beside a shortcut.

    Args:
        channels: int, the channels of the output.
        halve: bool, whether the output has half the resolution (rounded up);
            a projection is the shortcut then.
        dropout: float in `[0, 1)`.
        **kwargs: passed to `keras.layers.Layer`.
    """

    def __init__(self, channels, halve=False, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        dtype = self.dtype_policy
        self.channels = channels
        self.halve = halve
        strides = 2 if halve else 1
        self.conv1 = conv(channels, 3, strides, name="conv1", dtype=dtype)
        self.norm1 = group_norm(channels, name="norm1", dtype=dtype)
        self.dropout = layers.Dropout(dropout, name="dropout", dtype=dtype)
        self.conv2 = conv(channels, 3, name="conv2", dtype=dtype)
        self.norm2 = group_norm(channels, name="norm2", dtype=dtype)
        if halve:
            self.shortcut = conv(channels, 1, 2, name="shortcut", dtype=dtype)
            self.shortcut_norm = group_norm(
                channels, name="shortcut_norm", dtype=dtype
            )

    def build(self, input_shape):
        hidden_shape = (None, None, None, self.channels)
        self.conv1.build(input_shape)
        self.conv2.build(hidden_shape)
        norms = [self.norm1, self.norm2]
        if self.halve:
            self.shortcut.build(input_shape)
            norms.append(self.shortcut_norm)
        for norm in norms:
            norm.build(hidden_shape)

    def call(self, x, training=None):
        y, shortcut = x, x
        if self.halve:
            # Padding "same" adds a row at the end only, where strides are 2 and
            # the size is even.
            y = ops.pad(y, [(0, 0), (1, 1), (1, 1), (0, 0)])
            shortcut = self.shortcut_norm(self.shortcut(x))
        y = ops.relu(self.norm1(self.conv1(y)))
        y = self.dropout(y, training=training)
        y = self.norm2(self.conv2(y))
        # The next block, its shortcut and the features of this one read it.
        return backend.in_memory(ops.relu(shortcut + y))


def conv(channels, size, strides=1, name=None, dtype=None, bias=False):
    """A convolution; with strides its input is padded by the caller."""
    return layers.Conv2D(
        channels,
        size,
        strides=strides,
        padding="same" if strides == 1 else "valid",
        data_format="channels_last",
        use_bias=bias,
        kernel_initializer="lecun_normal",
        name=name,
        dtype=dtype,
    )
