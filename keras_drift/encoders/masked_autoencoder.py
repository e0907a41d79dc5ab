"""Masked autoencoder that trains a `MAEResNet`."""

import keras
import numpy as np
from keras import layers
from keras import ops

from keras_drift import backend
from keras_drift import checks
from keras_drift import patch_folding
from keras_drift import seed_states
from keras_drift.encoders import patches
from keras_drift.encoders.mae_resnet import MAEResNet
from keras_drift.encoders.masked_trainer import MaskedTrainer
from keras_drift.encoders.masked_trainer import split_batch
from keras_drift.encoders.unet_decoder import UNetDecoder
from keras_drift.presets import PresetMixin
from keras_drift.presets.preset_mixin import DEFAULT_SHARD_SIZE


@keras.saving.register_keras_serializable("keras_drift")
class MaskedAutoencoder(MaskedTrainer, PresetMixin, keras.Model):
    """Trains a `MAEResNet` to reconstruct the hidden parts of images.

    Random patches of each image are set to zero, and a U-Net decoder
    reconstructs them from the maps of the encoder. Optionally a classifier on
    the last map is trained jointly, as at the end of the published training.
    Afterwards `encoder` is what a `DriftModel` compares features with.

    The loss of an image is `w * classification + (1 - w) * reconstruction`,
    where `w` is `classifier_weight` and the reconstruction loss is the squared
    error of the hidden patches, summed over a pixel's channels and averaged
    over the pixels (after the encoder has folded patches into channels).

    It is a Keras model: `compile` it with an optimizer (the loss is its own)
    and `fit` it to images, or to images and labels. The published training uses
    `AdamW(4e-3, weight_decay=0.01, beta_2=0.95, global_clipnorm=2.0,
    use_ema=True, ema_momentum=0.9995)`.

    Args:
        encoder: the `MAEResNet` to train. It is trainable from then on, until a
            `DriftModel` that is given it freezes it.
        num_classes: int or `None`, the classes of the classifier. Defaults to
            `None`: no classifier.
        mask_patch_size: int, the side of the patches that are hidden or not, in
            pixels; a multiple of the encoder's `patch_size` and a divisor of
            the sides of the images. Defaults to `None`: twice the encoder's
            `patch_size`.
        mask_ratio: float in `[0, 1]`, the probability of a patch to be hidden;
            or two of them, an interval in which each image has its own.
            Defaults to `0.5`. `evaluate` and `predict` begin with the same
            masks whenever they are called, one for each image in order,
            whatever the `batch_size`.
        classifier_weight: float in `[0, 1]`, the share of the classification
            loss; or a schedule, a function of the optimizer step, such as
            `schedules.LinearRamp(0.1, start=197_000, num_steps=1000)`, that of
            the published training of 200,000 steps. Evaluation uses the value
            at step 0, so that losses are comparable. Defaults to `0.0`.
        seed: int, for the masks of training. Defaults to `None`: random. The
            state of the random generator is saved with the model.
        **kwargs: passed to `keras.Model`.

    Call arguments:
        inputs: images `(batch, height, width, image_channels)`; or a dict of
            `"images"` and `"hidden"`, `(batch, height, width, 1)`, masks to use
            in place of random ones, 1 where a pixel is hidden.

    Returns:
        A dict: `"reconstruction"`, shaped like the images, and `"hidden"`, both
        float32; and with classes `"logits"`, `(batch, num_classes)`.

    Example:

    >>> from keras_drift import encoders
    >>> encoder = encoders.MAEResNet(
    ...     image_channels=1, base_channels=8, num_blocks=(1, 1, 1, 1)
    ... )
    >>> model = encoders.MaskedAutoencoder(encoder, seed=0)
    >>> model.compile(keras.optimizers.AdamW(1e-3))
    >>> history = model.fit(np.zeros((4, 16, 16, 1)), verbose=0)
    >>> sorted(history.history)
    ['loss', 'mask_ratio', 'reconstruction_loss']

    Reference:

    - [He et al., 2021](https://arxiv.org/abs/2111.06377)
    - [Deng et al., 2026](https://arxiv.org/abs/2602.04770)
    """

    def __init__(
        self,
        encoder,
        num_classes=None,
        mask_patch_size=None,
        mask_ratio=0.5,
        classifier_weight=0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        # Half precision would round the images that are to be reconstructed;
        # the layers cast their inputs themselves.
        self.autocast = False
        self.encoder = _checked_encoder(encoder)
        self.encoder.trainable = True
        self.num_classes = num_classes
        self.mask_patch_size = _checked_patch_size(mask_patch_size, encoder)
        self.mask_ratio = _checked_ratio(mask_ratio)
        self.classifier_weight = _checked_weight(classifier_weight, num_classes)
        if seed is not None:
            checks.non_negative_integer("seed", seed)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self._evaluation_seed = keras.random.SeedGenerator(
            seed_states.EVALUATION
        )
        self._build_heads()
        logs = ["reconstruction_loss", "mask_ratio"]
        if num_classes is not None:
            logs += ["classification_loss", "accuracy"]
        self._trackers = {
            name: keras.metrics.Mean(name=name, dtype="float32")
            for name in logs
        }
        self.built = True

    @property
    def preset_parts(self):
        """The parts that `from_preset` of their classes finds in a preset."""
        return (self.encoder,)

    # === The step ===

    def train_step(self, *args):
        """One training step: draws masks, then calls Keras' own step."""
        *state, data = args
        batch, state = backend.run(self, state, self.prepare_batch, data, True)
        logs, state = backend.step(super().train_step, state, batch)
        return backend.step_result(logs, state)

    def test_step(self, *args):
        """One evaluation step: draws masks, then calls Keras' own step."""
        *state, data = args
        batch, state = backend.run(self, state, self.prepare_batch, data, False)
        logs, state = backend.step(super().test_step, state, batch)
        return backend.step_result(logs, state)

    def prepare_batch(self, data, training=True):
        """Draws masks for a batch of data, and evaluates the schedule.

        Args:
            data: a batch of the data source, see `fit`.
            training: bool.

        Returns:
            A tuple: a dict of `"images"`, `"hidden"` and `"classifier_weight"`;
            labels or `None`; weights of the images or `None`.
        """
        x, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        images, hidden = split_batch(x)
        if hidden is None:
            hidden = self._draw_mask(images, training)
        hidden = ops.cast(hidden, "float32")
        share = self.classifier_weight
        if callable(share):
            share = share(self.optimizer.iterations if training else 0)
        batch = {
            "images": images,
            "hidden": hidden,
            # One for each image: Keras takes the first axis for the batch.
            "classifier_weight": share * ops.ones_like(hidden[:, 0, 0, 0]),
        }
        return batch, labels, weights

    def call(self, inputs, training=None):
        images, hidden = split_batch(inputs)
        checks.float_samples(images)
        images = ops.cast(images, "float32")
        if hidden is None:
            hidden = self._draw_mask(images, training)
        hidden = ops.cast(hidden, "float32")
        visible = images * (1.0 - hidden)
        folded = patch_folding.fold(visible, self.encoder.patch_size)
        maps, _ = self.encoder.network(folded, training=training)
        reconstruction = patch_folding.unfold(
            self.decoder(maps), self.encoder.patch_size
        )
        outputs = {"reconstruction": reconstruction, "hidden": hidden}
        if self.num_classes is not None:
            pooled = ops.cast(maps["layer4"], "float32")
            outputs["logits"] = self.classifier(ops.mean(pooled, axis=(1, 2)))
        return outputs

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """Weighted sum of reconstruction and classification loss.

        Args:
            x: dict, the batch that `prepare_batch` returns.
            y: labels `(batch,)`, unused without classes.
            y_pred: dict, the result of `call`.
            sample_weight: optional weights of the images, `(batch,)`.
            training: unused; masks and weights are in the batch.
        """
        del training
        logs = {
            "reconstruction_loss": self._reconstruction_loss(x, y_pred),
            "mask_ratio": ops.mean(y_pred["hidden"], axis=(1, 2, 3)),
        }
        loss = logs["reconstruction_loss"]
        if self.num_classes is not None:
            labels, logits = self._labels(y), y_pred["logits"]
            classification = ops.sparse_categorical_crossentropy(
                labels, logits, from_logits=True
            )
            share = x["classifier_weight"]
            loss = share * classification + (1.0 - share) * loss
            logs["classification_loss"] = classification
            hits = ops.equal(ops.cast(ops.argmax(logits, -1), "int32"), labels)
            logs["accuracy"] = ops.cast(hits, "float32")
        for name, value in logs.items():
            self._trackers[name].update_state(value, sample_weight)
        if sample_weight is not None:
            loss = loss * ops.reshape(ops.cast(sample_weight, "float32"), (-1,))
        return ops.mean(loss)

    # === Saving ===

    def save_to_preset(
        self, directory, metadata=None, max_shard_size=DEFAULT_SHARD_SIZE
    ):
        # A copy that is not compiled: presets hold no optimizer state.
        copy = type(self).from_config(self.get_config())
        copy.set_weights(self.get_weights())
        PresetMixin.save_to_preset(copy, directory, metadata, max_shard_size)

    def save_own_variables(self, store):
        """Saves the state of the random generator."""
        seed_states.save(self.seed_generator, store)

    def load_own_variables(self, store):
        """Loads the state of the random generator."""
        seed_states.load(self.seed_generator, store)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "encoder": serialize(self.encoder),
            "num_classes": self.num_classes,
            "mask_patch_size": self.mask_patch_size,
            "mask_ratio": list(self.mask_ratio),
            "classifier_weight": serialize(self.classifier_weight),
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Makes the model that `get_config` describes."""
        deserialize = keras.saving.deserialize_keras_object
        objects = {
            name: deserialize(config[name], custom_objects)
            for name in ("encoder", "classifier_weight")
        }
        return cls(**{**config, **objects})

    # === Parts ===

    def _build_heads(self):
        """The decoder, and the classifier where there are classes."""
        encoder = self.encoder
        channels = encoder.image_channels * encoder.patch_size**2
        self.decoder = UNetDecoder(
            encoder.base_channels,
            channels,
            name="decoder",
            dtype=self.dtype_policy,
        )
        self.decoder.build(None)
        if self.num_classes is None:
            return
        self.classifier = layers.Dense(
            self.num_classes,
            kernel_initializer="lecun_normal",
            name="classifier",
            dtype="float32",
        )
        self.classifier.build((None, 8 * encoder.base_channels))

    def _draw_mask(self, images, training):
        _, height, width, _ = images.shape
        self._check_size(height, width)
        batch = ops.shape(images)[0]
        options = (self.mask_patch_size, self.mask_ratio)
        if training:
            return patches.random_mask(
                (batch, height, width), *options, self.seed_generator
            )
        numbers = self._next_numbers(batch)
        return patches.numbered_mask(
            numbers, (height, width), *options, seed_states.EVALUATION
        )

    def _reconstruction_loss(self, x, y_pred):
        """Squared error over hidden pixels; 0 where nothing is hidden."""
        images = ops.cast(split_batch(x)[0], "float32")
        hidden = y_pred["hidden"]
        error = ops.square(y_pred["reconstruction"] - images) * hidden
        # Pixels are counted, and channels summed, as the encoder sees them:
        # after folding.
        count = ops.sum(hidden, axis=(1, 2, 3)) / self.encoder.patch_size**2
        return ops.sum(error, axis=(1, 2, 3)) / (count + 1e-8)

    def _check_size(self, height, width):
        size = self.mask_patch_size
        if None in (height, width) or height % size or width % size:
            raise ValueError(
                "Masks are drawn by patches, so height and width must be "
                "known, and multiples of `mask_patch_size`. Received: images "
                f"of {height} x {width}, mask_patch_size={size}"
            )


def _checked_encoder(encoder):
    if not isinstance(encoder, MAEResNet):
        raise TypeError(
            "A masked autoencoder trains an `encoders.MAEResNet`. "
            f"Received: encoder={encoder!r}"
        )
    return encoder


def _checked_patch_size(size, encoder):
    if size is None:
        return 2 * encoder.patch_size
    checks.positive_integer("mask_patch_size", size)
    if size % encoder.patch_size:
        raise ValueError(
            "A hidden patch covers whole patches of the encoder, so "
            "`mask_patch_size` must be a multiple of its `patch_size`. "
            f"Received: mask_patch_size={size}, "
            f"patch_size={encoder.patch_size}"
        )
    return size


def _checked_ratio(ratio):
    """The interval, two floats in `[0, 1]`."""
    interval = tuple(ratio) if np.iterable(ratio) else (ratio, ratio)
    valid = len(interval) == 2 and all(map(checks.is_number, interval))
    if not valid or not 0 <= interval[0] <= interval[1] <= 1:
        raise ValueError(
            "`mask_ratio` is a probability, or two of them in ascending order. "
            f"Received: mask_ratio={ratio!r}"
        )
    return tuple(map(float, interval))


def _checked_weight(weight, num_classes):
    if num_classes is not None:
        checks.positive_integer("num_classes", num_classes)
    elif callable(weight) or weight != 0:
        raise ValueError(
            "`classifier_weight` needs a classifier: give `num_classes` too. "
            f"Received: classifier_weight={weight!r}, num_classes=None"
        )
    if callable(weight):
        return weight
    checks.non_negative_number("classifier_weight", weight)
    if weight > 1:
        raise ValueError(
            "`classifier_weight` is a share of the loss, at most 1. "
            f"Received: classifier_weight={weight!r}"
        )
    return float(weight)
