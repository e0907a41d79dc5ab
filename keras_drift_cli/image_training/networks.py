"""Networks and data sets of a configuration."""

import math

import keras
import numpy as np

import keras_drift as kd
from keras_drift.training.power_law_guidance import check_scales
from keras_drift_cli.image_training import processes
from keras_drift_cli.image_training import sources


def new_autoencoder(config):
    """The autoencoder of `latents`: a preset, or one that is not adapted."""
    settings = config.latents
    if settings.autoencoder != "pca":
        return kd.autoencoders.Autoencoder.from_preset(settings.autoencoder)
    return kd.autoencoders.PatchPCA(
        settings.patch_size, settings.channels, config.data.channels
    )


def encoder_of(config, channels):
    """The encoder that a configuration trains, untrained.

    Args:
        config: `config.Config` with `encoder.train`.
        channels: int, of the samples.

    Returns:
        An `encoders.MAEResNet`.
    """
    settings, train = config.encoder, config.encoder.train
    keras.utils.set_random_seed(config.seed)
    return kd.encoders.MAEResNet(
        channels,
        base_channels=train.base_channels,
        num_blocks=train.num_blocks,
        patch_size=train.patch_size,
        means=settings.means,
        stds=settings.stds,
        # Of groups of one channel they are constant.
        global_mean=train.base_channels > 32,
        global_std=train.base_channels > 32,
        every_k_blocks=settings.every_k_blocks,
        dtype=train.dtype,
    )


def masked_autoencoder(config, encoder, num_classes):
    """The compiled model that trains an encoder."""
    train = config.encoder.train
    ramp = 0.0
    if train.classifier_steps:
        ramp = kd.schedules.LinearRamp(
            train.classifier_weight,
            start=train.steps - train.classifier_steps,
            num_steps=train.classifier_ramp,
        )
    model = kd.encoders.MaskedAutoencoder(
        encoder,
        num_classes=num_classes if train.classifier_steps else None,
        mask_patch_size=train.mask_patch_size,
        mask_ratio=train.mask_ratio,
        classifier_weight=ramp,
        seed=config.seed,
    )
    model.compile(
        keras.optimizers.AdamW(
            _warmed_up(train.learning_rate, train.warmup_steps),
            weight_decay=train.weight_decay,
            beta_2=0.95,
            global_clipnorm=2.0,
            use_ema=True,
            ema_momentum=train.ema,
        )
    )
    return model


def drift_model(config, sample_shape, num_classes, encoder, autoencoder):
    """The compiled `DriftModel` of a configuration."""
    training, settings = config.training, config.generator
    keras.utils.set_random_seed(config.seed)
    generator = kd.generators.DiT(
        sample_shape,
        num_classes=num_classes,
        **vars(settings),
    )
    model = kd.DriftModel(
        generator,
        _drift(config),
        encoder,
        num_generated=training.generated,
        guidance_sampler=_guidance(config),
        autoencoder=autoencoder,
        seed=config.seed,
    )
    model.compile(
        keras.optimizers.AdamW(
            _learning_rate(training),
            weight_decay=training.weight_decay,
            beta_2=training.beta_2,
            global_clipnorm=training.clipnorm,
            use_ema=True,
            ema_momentum=training.ema,
        )
    )
    return model


def check(config):
    """Refuses, before anything is trained, what would be refused later."""
    _drift(config)
    guidance = _guidance(config)
    if config.generator is not None and config.evaluation is not None:
        check_scales(config.evaluation.guidance, guidance)


def _drift(config):
    return kd.drifts.KernelDrift(
        kd.kernels.Laplacian(config.drift.bandwidths),
        normalization=config.drift.normalization,
        self_interaction=config.drift.self_interaction,
    )


def _guidance(config):
    guidance = config.training.guidance
    if guidance is None:
        return None
    return kd.training.PowerLawGuidance(**vars(guidance))


def banked_batches(config, source, sample_shape):
    """Grouped batches of a stream of images, by way of memory banks.

    Where each process gives its share of a batch, it has a stream and banks of
    its own.
    """
    training, banks = config.training, config.training.banks
    num_classes = len(source.class_names)
    groups = min(training.groups, num_classes)
    index, count = processes.share()
    return kd.datasets.BankedDataset(
        source,
        sample_shape,
        num_classes,
        groups_per_batch=groups // count,
        positives=training.positives,
        unconditional=training.unconditional,
        capacity=banks.per_class,
        unconditional_capacity=banks.overall,
        push_per_step=math.ceil(banks.push_per_step / count),
        steps_per_epoch=training.steps_per_epoch,
        seed=config.seed + index,
    )


def batches_of(config, samples, labels):
    """Grouped batches of samples that can be indexed."""
    training = config.training
    return kd.datasets.GroupedDataset(
        samples,
        labels,
        groups_per_batch=min(training.groups, len(np.unique(labels))),
        positives=training.positives,
        unconditional=training.unconditional,
        seed=config.seed,
        steps_per_epoch=training.steps_per_epoch,
        share=processes.share(),
    )


def samples_in_memory(config, source):
    """Decoded images and labels; with `flip`, mirror images as well."""
    images, labels = sources.read_all(source, seed=config.seed)
    if config.data.flip:
        images = np.concatenate([images, images[:, :, ::-1]])
        labels = np.concatenate([labels, labels])
    return images, labels


class ShuffledBatches(keras.utils.PyDataset):
    """Batches of samples and labels in random order, for the encoder.

    The batches of an epoch of `fit` go on where those of the epoch before
    ended; every pass over the samples has an order of its own.

    Args:
        samples: array-like `(n, ...)`, indexed by int arrays.
        labels: ints `(n,)`.
        batch_size: int.
        steps_per_epoch: int.
        seed: int.
    """

    def __init__(self, samples, labels, batch_size, steps_per_epoch, seed):
        super().__init__()
        self.samples, self.labels = samples, labels
        self.batch_size = min(batch_size, len(labels))
        self.steps_per_epoch = steps_per_epoch
        self.seed = seed
        self.epoch = 0
        self._shuffled = (None, None)

    def __len__(self):
        return self.steps_per_epoch

    def __getitem__(self, index):
        step = self.epoch * self.steps_per_epoch + index
        each, position = divmod(step, len(self.labels) // self.batch_size)
        start = position * self.batch_size
        order = self._order(each)
        chosen = np.sort(order[start : start + self.batch_size])
        return self._read(chosen, step)

    def follows(self):
        """A callback that sets the epoch, also that of a resumed `fit`."""

        def follow(epoch, logs=None):
            self.epoch = epoch

        return keras.callbacks.LambdaCallback(on_epoch_begin=follow)

    def _read(self, indices, step):
        samples = np.asarray(self.samples[indices], "float32")
        return samples, self.labels[indices]

    def _order(self, number):
        """The order of the samples in a pass over them."""
        known, order = self._shuffled
        if known != number:
            rng = np.random.default_rng((self.seed, number))
            order = rng.permutation(len(self.labels))
            self._shuffled = (number, order)
        return order


class DecodedBatches(ShuffledBatches):
    """`ShuffledBatches` of images that are decoded as they are needed.

    Args:
        source: images with classes, see `sources`.
        batch_size: int.
        steps_per_epoch: int.
        seed: int.
        flip: bool, whether each image is mirrored with a probability of 1/2.
        random_crops: bool, whether the source gives random crops, others in
            every batch. Defaults to `False`.
    """

    def __init__(
        self,
        source,
        batch_size,
        steps_per_epoch,
        seed,
        flip,
        random_crops=False,
    ):
        super().__init__(
            source, source.labels, batch_size, steps_per_epoch, seed
        )
        self._flip = flip
        self._random_crops = random_crops

    def _read(self, indices, step):
        rng = np.random.default_rng((self.seed, step, 1))
        options = {}
        if self._random_crops:
            options["crop_seed"] = int(rng.integers(2**32))
        images, readable = self.samples.read(indices, **options)
        # Batches keep their size: others stand in for what is not readable.
        rows = np.arange(len(indices))
        rows[~readable] = np.resize(rows[readable], np.sum(~readable))
        images, labels = images[rows], self.labels[indices[rows]]
        if self._flip:
            mirrored = rng.random(len(images)) < 0.5
            images[mirrored] = images[mirrored, :, ::-1]
        return images, labels


def epochs_of(steps):
    """The epochs of the encoder: at most 20, of equal numbers of steps."""
    most = max(1, min(20, steps // 100))
    return max(n for n in range(1, most + 1) if steps % n == 0)


def _warmed_up(rate, steps):
    """A constant learning rate after a linear warm-up."""
    if not steps:
        return rate
    return kd.schedules.LinearRamp(rate, start=0, num_steps=steps)


def _learning_rate(training):
    rate, warmup = training.learning_rate, training.warmup_steps
    if training.schedule == "constant":
        return _warmed_up(rate, warmup)
    return keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else rate,
        training.steps - warmup,
        alpha=0.05,
        warmup_target=rate if warmup else None,
        warmup_steps=warmup,
    )
