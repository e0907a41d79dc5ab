"""Checks of a configuration, before anything takes time."""

import dataclasses
import math

from keras_drift_cli.image_training.parsing import ConfigError
from keras_drift_cli.image_training.parsing import nearest

# Counts that may be zero; all other ints of a configuration are at least one.
_MAY_BE_ZERO = (
    "seed",
    "data.workers",
    "encoder.train.warmup_steps",
    "encoder.train.classifier_steps",
    "generator.num_context_tokens",
    "generator.num_style_tokens",
    "training.unconditional",
    "training.warmup_steps",
)
# Numbers that are shares.
_SHARES = (
    "data.held_out",
    "data.unreadable_share",
    "encoder.train.ema",
    "training.beta_2",
    "training.ema",
)


def _check_numbers(values, where=""):
    """Checks the ranges of all numbers of a configuration."""
    for key, value in values.items():
        name = f"{where}.{key}" if where else key
        if isinstance(value, dict):
            _check_numbers(value, name)
            continue
        for number in value if isinstance(value, list) else [value]:
            _check_number(name, number)


def _check_number(name, value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    meaning = None
    if isinstance(value, int):
        least = 0 if name in _MAY_BE_ZERO else 1
        meaning = f"is at least {least}" if value < least else None
    elif name in _SHARES:
        meaning = None if 0 <= value < 1 else "is at least 0 and less than 1"
    elif not 0 <= value < math.inf:
        meaning = "is finite and not negative"
    if meaning is not None:
        raise ConfigError(f"`{name}` {meaning}. Received: {value!r}")


def checked(config):
    """Refuses what cannot be trained, before anything takes time."""
    _check_numbers(dataclasses.asdict(config))
    choices = {
        "data.source": ("folder", "mnist", "cifar10", "drawn"),
        "training.schedule": ("constant", "cosine"),
    }
    if config.latents is not None:
        choices["latents.keep"] = ("moments", "samples")
    if config.evaluation is not None:
        choices["evaluation.features"] = ("inception", "encoder")
    for name, known in choices.items():
        section, key = name.split(".")
        value = getattr(getattr(config, section), key)
        if value not in known:
            raise ConfigError(
                f"`{name}` is one of {', '.join(known)}."
                f"{nearest(value, known)} Received: {value!r}"
            )
    _check_data(config.data)
    _check_encoder(config)
    _check_training(config)
    _check_banks(config)
    _check_crops(config)
    _check_evaluation(config)
    return config


def _check_data(data):
    is_made = data.source == "drawn" or (
        data.source == "cifar10" and data.path is None
    )
    if is_made and data.validation_path is not None:
        raise ConfigError(
            "`data.validation_path` is for images in files; of others a share "
            "is held out, `data.held_out`. Received: data.source="
            f"{data.source}, data.path={data.path}, data.validation_path="
            f"{data.validation_path}"
        )


def _check_encoder(config):
    encoder = config.encoder
    if encoder is not None and (encoder.preset is None) == (
        encoder.train is None
    ):
        raise ConfigError(
            "`encoder` has either a `preset`, which is fetched, or a section "
            "`train`. Received: "
            + ("neither" if encoder.preset is None else "both")
        )
    if config.generator is None and encoder is None:
        raise ConfigError(
            "there is nothing to train: give a section `generator`, or "
            "`encoder`."
        )
    train = None if encoder is None else encoder.train
    if train is None:
        return
    if train.classifier_steps > train.steps:
        raise ConfigError(
            "`encoder.train.classifier_steps` are the last ones of "
            f"`encoder.train.steps`. Received: {train.classifier_steps}, "
            f"{train.steps}"
        )
    if bool(train.classifier_steps) != bool(train.classifier_weight):
        raise ConfigError(
            "the classifier of the encoder is trained with both "
            "`encoder.train.classifier_weight` and "
            "`encoder.train.classifier_steps`, or neither. Received: "
            f"{train.classifier_weight}, {train.classifier_steps}"
        )


def _check_training(config):
    training = config.training
    if training.steps % training.steps_per_epoch:
        raise ConfigError(
            "`training.steps` is a multiple of `training.steps_per_epoch`. "
            f"Received: {training.steps}, {training.steps_per_epoch}"
        )
    if training.warmup_steps >= training.steps:
        raise ConfigError(
            "`training.warmup_steps` is less than `training.steps`. "
            f"Received: {training.warmup_steps}, {training.steps}"
        )
    if training.guidance is not None and not training.unconditional:
        raise ConfigError(
            "`training.guidance` needs `training.unconditional` samples, "
            "which the others are compared with. Received: 0"
        )


def _check_crops(config):
    """Random crops are taken as images are decoded, not of what is kept."""
    train = None if config.encoder is None else config.encoder.train
    scales = {"training.crop_scale": config.training.crop_scale}
    if train is not None:
        scales["encoder.train.crop_scale"] = train.crop_scale
    for name, scale in scales.items():
        if scale is None:
            continue
        if len(scale) != 2 or not 0 < scale[0] <= scale[1] <= 1:
            raise ConfigError(
                f"`{name}` is a range of shares of the area, such as "
                f"[0.2, 1.0]. Received: {scale}"
            )
        if not config.streams_images:
            raise ConfigError(
                f"`{name}` is for images that are streamed from a folder. "
                "Latents, and images in memory, are of the center: leave it "
                f"out there. Received: data.source={config.data.source}, "
                f"data.in_memory={config.data.in_memory}, "
                + ("no latents" if config.latents is None else "latents")
            )


def _check_evaluation(config):
    if config.generator is None:
        return
    if config.training.report_samples < 4:
        raise ConfigError(
            "`training.report_samples` are at least 4, two to compare with "
            f"two. Received: {config.training.report_samples}"
        )
    if config.evaluation is None:
        return
    scales = config.evaluation.guidance
    if not scales or len(set(scales)) < len(scales):
        raise ConfigError(
            "`evaluation.guidance` has at least one scale, such as [1.0], and "
            f"each of them once. Received: {scales}"
        )


def _check_banks(config):
    """Banks are for images that are streamed from files, and needed there."""
    data, banks = config.data, config.training.banks
    if banks is not None and not config.streams_images:
        raise ConfigError(
            "`training.banks` is for images that are streamed from a folder. "
            "Latents, and images in memory, can be indexed: leave it out "
            f"there. Received: data.source={data.source}, data.in_memory="
            f"{data.in_memory}, "
            + ("no latents" if config.latents is None else "latents")
        )
    if config.generator is None or not config.streams_images:
        return
    if banks is None:
        raise ConfigError(
            "images in files are either decoded once and kept, with "
            "`data.in_memory: true`, or streamed, by way of "
            "`training.banks: {}`. Received: neither"
        )
    training = config.training
    for kept, drawn in (
        ("per_class", "positives"),
        ("overall", "unconditional"),
    ):
        if getattr(banks, kept) < getattr(training, drawn):
            raise ConfigError(
                f"`training.banks.{kept}` is at least `training.{drawn}`. "
                f"Received: {getattr(banks, kept)}, {getattr(training, drawn)}"
            )
