"""ConvNeXt V2 as an encoder of images."""

import itertools

import keras
from keras import layers
from keras import ops

from keras_drift import checks
from keras_drift.encoders import patches
from keras_drift.encoders.convnext_block import ConvNeXtBlock
from keras_drift.encoders.convnext_block import channel_norm
from keras_drift.encoders.encoder import Encoder
from keras_drift.encoders.image_scaling import ImageScaling
from keras_drift.encoders.resizing import resize
from keras_drift.frozen import freeze


@keras.saving.register_keras_serializable("keras_drift")
class ConvNeXtV2(Encoder):
    """Compares images by the feature maps of a ConvNeXt V2 classifier.

    The published pixel models are trained on its features beside those of a
    masked autoencoder: join both with `Union`. Load published weights with
    `from_preset("hf://facebook/convnextv2-base-22k-224")`.

    Images are normalized as for ImageNet and resized to `image_size`,
    bilinearly and with antialiasing, whatever their size. The output of each
    stage is standardized over its channels.

    Args:
        depths: four ints, the number of blocks of each stage. Defaults to
            `(3, 3, 27, 3)`, the base size.
        hidden_dims: four ints, the channels of each stage. Defaults to
            `(128, 256, 512, 1024)`, the base size.
        image_size: int, a multiple of 32: the side to which images are resized.
            Defaults to `224`, that of the published weights.
        **kwargs: passed to `Encoder`.

    Call arguments:
        samples: float tensor `(batch, height, width, 3)`, images in `[-1, 1]`.

    Returns:
        A dict of features `(batch, tokens, dim)`: `"convnext_stage_1"` to
        `"convnext_stage_3"`, every position of a stage; their means and
        standard deviations over all positions, and those of stage 0, which has
        the most positions and the most local ones, `"convnext_stage_0_mean"`,
        `"convnext_stage_0_std"` and so on; and `"global_mean"` and
        `"global_std"`, of the classifier's last norm and of the last stage. The
        official release spells the names of stages `"convenxt_stage_*"`.

    Raises:
        ValueError: if the samples are not images of three channels.

    Example:

    >>> from keras_drift import encoders
    >>> encoder = encoders.ConvNeXtV2(
    ...     depths=(1, 1, 1, 1), hidden_dims=(4, 8, 8, 16), image_size=32
    ... )
    >>> encoder(keras.Input((20, 20, 3)))["convnext_stage_1"].shape
    (None, 16, 8)

    Reference:

    - [Woo et al., 2023](https://arxiv.org/abs/2301.00808)
    - [Deng et al., 2026](https://arxiv.org/abs/2602.04770)
    """

    def __init__(
        self,
        depths=(3, 3, 27, 3),
        hidden_dims=(128, 256, 512, 1024),
        image_size=224,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.depths = list(checks.one_for_each_stage("depths", depths))
        self.hidden_dims = list(
            checks.one_for_each_stage("hidden_dims", hidden_dims)
        )
        self.image_size = checks.positive_integer("image_size", image_size)
        if image_size % 32:
            raise ValueError(
                "Four stages divide the side of an image by 32, so it must be "
                f"a multiple of that. Received: image_size={image_size}"
            )
        policy = self.dtype_policy
        self.normalize = ImageScaling(
            "imagenet", name="normalize", dtype=policy
        )
        self.convolutions = [
            layers.Conv2D(
                dim,
                size,
                size,
                data_format="channels_last",
                name=f"convolution_{i}",
                dtype=policy,
            )
            for i, (dim, size) in enumerate(
                zip(self.hidden_dims, (4, 2, 2, 2), strict=True)
            )
        ]
        self.norms = [channel_norm(f"norm_{i}", policy) for i in range(4)]
        self.blocks = [
            ConvNeXtBlock(dim, name=f"block_{i}_{j}", dtype=policy)
            for i, dim in enumerate(self.hidden_dims)
            for j in range(self.depths[i])
        ]
        self.last_norm = channel_norm("last_norm", policy)

    @property
    def stages(self):
        """The layers of each stage, in the order in which they are called."""
        blocks = iter(self.blocks)
        return [
            [
                # The stem normalizes its output, the other stages their input.
                *((norm, convolution) if i else (convolution, norm)),
                *itertools.islice(blocks, depth),
            ]
            for i, (convolution, norm, depth) in enumerate(
                zip(self.convolutions, self.norms, self.depths, strict=True)
            )
        ]

    def build(self, input_shape):
        shape = tuple(input_shape)
        if len(shape) != 4 or shape[-1] != 3 or None in shape[1:]:
            raise ValueError(
                "ConvNeXt V2 encodes images `(height, width, 3)` of a known "
                "size, with the channels red, green and blue, in [-1, 1]. "
                f"Received: samples of shape {shape[1:]}"
            )
        # The weights do not depend on the size of the samples: once is enough.
        if not self.last_norm.built:
            shape = (None, self.image_size, self.image_size, 3)
            for layer in itertools.chain(*self.stages):
                layer.build(shape)
                shape = layer.compute_output_shape(shape)
            self.last_norm.build((None, shape[-1]))
            # Layers do not freeze variables that are made later.
            freeze(self)
        self.built = True

    def call(self, samples):
        maps = resize(self.normalize(samples), self.image_size, self.image_size)
        features = {}
        for i, stage in enumerate(self.stages):
            for layer in stage:
                maps = layer(maps)
            features |= self._features_of(f"convnext_stage_{i}", maps, i > 0)
        mean = self.last_norm(ops.mean(maps, axis=(1, 2)))
        features["global_mean"] = mean[:, None, :]
        features["global_std"] = features["convnext_stage_3_std"]
        return features

    def _features_of(self, name, maps, with_positions):
        """Positions, mean and standard deviation of the standardized maps."""
        features = patches.statistics(
            name, _standardized(maps), (), (), global_mean=True, global_std=True
        )
        if not with_positions:
            del features[name]
        return features

    def map_sizes(self, sample_shape):
        del sample_shape  # images of all sizes are resized
        sides = [self.image_size // 4 >> i for i in range(4)]
        return {f"convnext_stage_{i}": (sides[i], sides[i]) for i in (1, 2, 3)}

    def get_config(self):
        return {
            **super().get_config(),
            "depths": self.depths,
            "hidden_dims": self.hidden_dims,
            "image_size": self.image_size,
        }

    @classmethod
    def from_preset(cls, preset, load_weights=True):
        """Loads an encoder from a preset, or from published weights.

        Args:
            preset: as for other presets; or published weights in the format of
                the package transformers: `"hf://owner/name"`, which is fetched
                from the Hugging Face hub into its cache, a folder with
                `config.json` and `model.safetensors`, or a single
                `.safetensors` file.
            load_weights: bool, whether to load the weights too, rather than
                initialize them anew. Defaults to `True`.

        Returns:
            A `ConvNeXtV2`.

        Raises:
            ConnectionError: if a file is not cached, and the hub not reached.
            ValueError: if a file is damaged, or not that of such a network. The
                message names the file, and the tensor with both shapes.
        """
        return super().from_preset(preset, load_weights)


def _standardized(maps):
    """Maps with mean 0 and standard deviation about 1 over channels."""
    maps = ops.cast(maps, "float32")
    maps = maps - ops.mean(maps, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(maps), axis=-1, keepdims=True)
    # The square root is infinitely steep at 0, where all channels are equal.
    return maps / (ops.sqrt(ops.maximum(variance, 1e-12)) + 1e-3)
