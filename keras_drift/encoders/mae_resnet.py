"""Residual network of a masked autoencoder as an encoder."""

import keras

from keras_drift import checks
from keras_drift import patch_folding
from keras_drift.encoders import patches
from keras_drift.encoders.encoder import Encoder
from keras_drift.encoders.residual_network import ResidualNetwork
from keras_drift.frozen import freeze


@keras.saving.register_keras_serializable("keras_drift")
class MAEResNet(Encoder):
    """Compares images by the maps of a masked autoencoder's residual network.

    The encoder of the published image models: a ResNet with group norms whose
    maps are compared at several depths, position by position and through the
    statistics of their patches. Train one on your own images or latents with
    `MaskedAutoencoder`; the released ones were trained on ImageNet.

    Args:
        image_channels: int, the channels of an image or latent.
        base_channels: int, the channels of the first of four stages; each stage
            doubles them and halves the resolution. The published networks have
            256 and 640. In a stage of 32 channels or fewer every group of a
            norm is one channel, as in the release, so mean and standard
            deviation over the whole map of the stage are constant: leave them
            out with `global_mean=False` and `global_std=False`. A map of one
            position is constant as a whole there. Defaults to `64`.
        num_blocks: four ints, the residual blocks of each stage. Defaults to
            `(3, 4, 6, 3)`.
        patch_size: int, the side of the image patches that are folded into
            channels ahead of the network, to save computation on large images.
            Defaults to `1`: none.
        dropout: float in `[0, 1)`, the rate in each block while a
            `MaskedAutoencoder` is trained. Defaults to `0.0`.
        means: ints, the sides of the patches of each map whose means are
            features. A side that does not divide height and width of a map is
            left out for that map. Defaults to `(2, 4)`.
        stds: ints, the same for standard deviations. Defaults to `(2, 4)`.
        global_mean: bool, whether the mean over each map is a feature. Defaults
            to `True`.
        global_std: bool, the same for the standard deviation. Defaults to
            `True`.
        every_k_blocks: int, the interval at which outputs of the blocks of a
            stage are features, beside the outputs of the stages. Defaults to
            `2`. `None`: those of the stages only.
        dtype: the type of the computation; weights and features are float32
            with `"mixed_bfloat16"` too. Defaults to `"float32"` whatever the
            global policy.
        **kwargs: passed to `Encoder`.

    Call arguments:
        samples: float tensor `(batch, height, width, image_channels)`.

    Returns:
        A dict of float32 tensors `(batch, tokens, dim)`: `"norm_x"`, the root
        mean square of each channel of the image; the maps `"conv1"`, `"layer1"`
        to `"layer4"` and, of every k-th block, `"layer1_blk2"`, ..., a token
        for each position; and for each map its statistics, such as
        `"layer1_mean"` and `"layer1_std"` over the map, `"layer1_mean_2"` and
        `"layer1_std_2"` over its 2x2 patches.

    Example:

    >>> from keras_drift import encoders
    >>> encoder = encoders.MAEResNet(
    ...     image_channels=1, base_channels=8, num_blocks=(1, 1, 1, 1)
    ... )
    >>> features = encoder(keras.Input((16, 16, 1)))
    >>> features["layer2"].shape, features["layer2_std_2"].shape
    ((None, 64, 16), (None, 16, 16))

    Reference:

    - [Deng et al., 2026](https://arxiv.org/abs/2602.04770)
    - [He et al., 2021](https://arxiv.org/abs/2111.06377)
    """

    def __init__(
        self,
        image_channels,
        base_channels=64,
        num_blocks=(3, 4, 6, 3),
        patch_size=1,
        dropout=0.0,
        means=(2, 4),
        stds=(2, 4),
        global_mean=True,
        global_std=True,
        every_k_blocks=2,
        dtype="float32",
        **kwargs,
    ):
        super().__init__(dtype=dtype, **kwargs)
        integer = checks.positive_integer
        self.image_channels = integer("image_channels", image_channels)
        self.base_channels = integer("base_channels", base_channels)
        self.num_blocks = checks.one_for_each_stage("num_blocks", num_blocks)
        self.patch_size = integer("patch_size", patch_size)
        self.dropout = _checked_dropout(dropout)
        self.means = patches.checked_sides("means", means)
        self.stds = patches.checked_sides("stds", stds)
        self.global_mean = checks.boolean("global_mean", global_mean)
        self.global_std = checks.boolean("global_std", global_std)
        self.every_k_blocks = every_k_blocks
        if every_k_blocks is not None:
            integer("every_k_blocks", every_k_blocks)
        self.network = ResidualNetwork(
            self.base_channels,
            self.num_blocks,
            self.dropout,
            name="network",
            dtype=self.dtype_policy,
        )
        # The weights do not depend on the size of the images.
        self.build((None, None, None, self.image_channels))

    @classmethod
    def from_preset(cls, preset, load_weights=True):
        encoder = super().from_preset(preset, load_weights)
        # In the preset of a `MaskedAutoencoder` it can be trained.
        freeze(encoder)
        return encoder

    def build(self, input_shape):
        self._check_shape(tuple(input_shape))
        if not self.network.built:
            channels = self.image_channels * self.patch_size**2
            self.network.build((None, None, None, channels))
            # Layers do not freeze variables that are made later.
            freeze(self.network)

    def call(self, samples):
        self._check_sample_shape(tuple(samples.shape))
        folded = patch_folding.fold(samples, self.patch_size)
        features = {"norm_x": patches.root_mean_square(folded)}
        for name, values in self._maps(folded).items():
            features |= patches.statistics(
                name,
                values,
                self.means,
                self.stds,
                self.global_mean,
                self.global_std,
            )
        return features

    def map_sizes(self, sample_shape):
        samples = keras.KerasTensor((None, *sample_shape), self.compute_dtype)
        maps = self._maps(patch_folding.fold(samples, self.patch_size))
        return {name: tuple(value.shape[1:3]) for name, value in maps.items()}

    def _maps(self, folded):
        """The feature maps by name, before any statistics."""
        maps, block_maps = self.network(folded, training=False)
        return maps | self._every_k(block_maps)

    def compute_output_spec(self, samples):
        # Unknown sizes look like known ones when Keras traces `call`.
        self._check_sample_shape(tuple(samples.shape))
        return super().compute_output_spec(samples)

    def get_config(self):
        return {
            **super().get_config(),
            "image_channels": self.image_channels,
            "base_channels": self.base_channels,
            "num_blocks": list(self.num_blocks),
            "patch_size": self.patch_size,
            "dropout": self.dropout,
            "means": list(self.means),
            "stds": list(self.stds),
            "global_mean": self.global_mean,
            "global_std": self.global_std,
            "every_k_blocks": self.every_k_blocks,
        }

    def _every_k(self, block_maps):
        """The maps of every k-th block of each stage."""
        if self.every_k_blocks is None:
            return {}
        return {
            name: values
            for name, values in block_maps.items()
            if int(name.partition("_blk")[2]) % self.every_k_blocks == 0
        }

    def _check_sample_shape(self, shape):
        self._check_shape(shape)
        if None in shape[1:]:
            raise ValueError(
                "Features have a token for each position, so height and width "
                f"must be known. Received: samples.shape={shape}"
            )

    def _check_shape(self, shape):
        if not checks.fits(shape, (None, None, None, self.image_channels)):
            raise ValueError(
                "This encoder takes images `(batch, height, width, "
                f"{self.image_channels})`; create it with other "
                f"`image_channels` for others. Received: shape {shape}"
            )
        if any(size and size % self.patch_size for size in shape[1:3]):
            raise ValueError(
                "Images are folded by patches, so height and width must be "
                f"multiples of `patch_size`. Received: shape {shape}, "
                f"patch_size={self.patch_size}"
            )


def _checked_dropout(dropout):
    checks.non_negative_number("dropout", dropout)
    if dropout >= 1:
        raise ValueError(
            "`dropout` is the share of the values that are dropped, below 1. "
            f"Received: dropout={dropout!r}"
        )
    return float(dropout)
