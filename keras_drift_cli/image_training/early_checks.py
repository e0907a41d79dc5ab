"""Checks, before a run begins, of what its later stages need.

A generator that does not fit the images, weights that are not there, or a
package that is not installed, end the command at once, and not after the hours
of the stages before.
"""

import contextlib
import dataclasses
import importlib.util

import keras
import numpy as np

import keras_drift as kd
from keras_drift.evaluation import inception
from keras_drift.evaluation import published_metrics
from keras_drift.evaluation import reference as references
from keras_drift_cli.image_training import networks

_INCEPTION_DIM = 2048


def check(config, stages):
    """Refuses what a later stage would refuse.

    Args:
        config: `config.Config`.
        stages: list of the names of the stages that are to be done, in order.
    """
    networks.check(config)
    _check_packages(config, stages)
    if "evaluate" in stages:
        _check_evaluation(config)
    # The generator is the first thing that its own stage makes.
    is_first = stages[:1] == ["generator"]
    if not is_first and {"latents", "encoder", "generator"} & {*stages}:
        _check_networks(config, stages)


def _check_packages(config, stages):
    training = config.training
    if "evaluate" in stages:
        _require(
            ("torch", "torch_fidelity"),
            'pip install "keras-drift[eval]", or leave it out: --skip evaluate',
            "The evaluation",
        )
    if "generator" not in stages:
        return
    if training.wandb is not None:
        _require(
            ("wandb",),
            "pip install wandb, or leave `training.wandb` out",
            "`training.wandb`",
        )
    if training.banks is not None and config.data.workers:
        _require(
            ("grain",),
            'pip install "keras-drift[imagenet]", or decode images without '
            "worker processes: --set data.workers=0",
            "A stream of images with `data.workers`",
        )


def _require(modules, remedy, purpose):
    missing = [m for m in modules if importlib.util.find_spec(m) is None]
    if missing:
        raise ModuleNotFoundError(
            f"{purpose} needs {' and '.join(missing)}: {remedy}.",
            name=missing[0],
        )


def _check_evaluation(config):
    """The number of samples, Inception's weights, files of the reference."""
    settings, dim = config.evaluation, None
    metrics = published_metrics.WITHOUT_LOGITS
    with _named("evaluation"):
        if settings.features == "inception":
            inception.check_weights(settings.weights_path)
            metrics, dim = published_metrics.METRICS, _INCEPTION_DIM
        published_metrics.check_num_samples(metrics, settings.num_samples)
    if settings.reference is not None:
        with _named("evaluation.reference"):
            references.check(settings.reference, _image_shape(config), dim)


def _check_networks(config, stages):
    """Makes the networks, small ones of those that are trained here."""
    shape = _sample_shape(config)
    if "encoder" in stages:
        _check_encoders(config, shape)
    if "generator" in stages:
        # One block: the others are of the same sizes.
        settings = dataclasses.replace(config.generator, depth=1)
        with _named("generator"):
            kd.generators.DiT(shape, num_classes=2, **vars(settings))


def _image_shape(config):
    data = config.data
    return data.image_size, data.image_size, data.channels


def _sample_shape(config):
    """The shape of an image, or of a latent of the autoencoder."""
    shape = _image_shape(config)
    if config.latents is None:
        return shape
    with _named("latents"):
        return networks.new_autoencoder(config).latent_shape(shape)


def _check_encoders(config, shape):
    """Makes the encoders that are fetched, and a thin one to be trained."""
    settings = config.encoder
    samples = keras.KerasTensor((1, *shape))
    fetched = [
        (kd.encoders.MAEResNet, settings.preset),
        (kd.encoders.ConvNeXtV2, settings.convnext),
    ]
    with _named("encoder"):
        for encoder, preset in fetched:
            if preset is not None:
                encoder.from_preset(preset).compute_output_spec(samples)
    if settings.train is not None:
        with _named("encoder.train"):
            _check_thin_encoder(config, samples)


def _check_thin_encoder(config, samples):
    train = dataclasses.replace(
        config.encoder.train,
        base_channels=8,
        num_blocks=[1 for _ in config.encoder.train.num_blocks],
    )
    settings = dataclasses.replace(config.encoder, train=train)
    thin = dataclasses.replace(config, encoder=settings)
    encoder = networks.encoder_of(thin, samples.shape[-1])
    encoder.compute_output_spec(samples)
    model = networks.masked_autoencoder(thin, encoder, num_classes=2)
    images = np.zeros(samples.shape, "float32")
    model.prepare_batch((images, np.zeros(1, "int32")))  # draws masks


@contextlib.contextmanager
def _named(section):
    """Says which section of the configuration an error is about."""
    try:
        yield
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"`{section}`: {error}") from error
