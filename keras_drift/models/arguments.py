"""Validates the arguments of a `DriftModel`."""

import fnmatch

import keras
import numpy as np

from keras_drift import autoencoders
from keras_drift import checks
from keras_drift import drifts
from keras_drift import encoders
from keras_drift.generators import Generator
from keras_drift.training import FeatureDrifts
from keras_drift.training import micro_batches
from keras_drift.training.bandwidth_schedule import resolved
from keras_drift.training.drift_objective import checked_loss_weights
from keras_drift.training.drift_objective import checked_scope
from keras_drift.training.power_law_guidance import checked_sampler


def resolved_drift(drift):
    """Resolves the argument `drift` of a `DriftModel`."""
    if isinstance(drift, FeatureDrifts):
        return drift
    if isinstance(drift, dict) and "class_name" not in drift:
        return FeatureDrifts(drift)
    return drifts.get(drift)


def assigned(model, name, value):
    """The value of an argument that is assigned to a model."""
    if model.run.is_training:
        raise ValueError(
            f"`{name}` cannot change while `fit` is running: compiled code has "
            "read it. Use a schedule, or call `fit` again. "
            f"Received: {name}={value!r}"
        )
    if name == "drift":
        return resolved_drift(value)
    if name == "encoder":
        value = encoders.get(value)
        encoders.build(value, model.generator.sample_shape)
    if name == "generator":
        shape = model.generator.sample_shape
        if checked_generator(value).sample_shape != shape:
            raise ValueError(
                "Another generator makes samples of the same shape, which data "
                f"and encoder have: {shape}. "
                f"Received: samples of shape {value.sample_shape}"
            )
    if name == "bandwidth_schedule" and value is not None:
        return resolved(value, model.drift)
    return value


def checked_generator(generator):
    """Returns `generator` if it is a `Generator`."""
    if not isinstance(generator, Generator):
        raise TypeError(
            "`generator` is a `keras_drift.generators.Generator`, such as "
            f"`MLP` or `DiT`. Received: generator={generator!r}"
        )
    return generator


def checked_autoencoder(generator, autoencoder):
    """Returns `autoencoder` if it decodes the samples of the generator."""
    autoencoder = autoencoders.get(autoencoder)
    known = not isinstance(autoencoder, autoencoders.MissingAutoencoder)
    if autoencoder is not None and known:
        autoencoder.image_shape(generator.sample_shape)
    return autoencoder


def checked_seed(seed):
    """Returns `seed` as an `int`, or `None`."""
    return None if seed is None else checks.non_negative_integer("seed", seed)


def check(model):
    """Validates the arguments of a model and their combinations."""
    if not callable(model.step_size):
        checks.positive_number("step_size", model.step_size)
    if model.num_generated is not None:
        checks.positive_integer("num_generated", model.num_generated)
    checks.positive_integer("frozen_steps", model.frozen_steps)
    checked_sampler(model.guidance_sampler, model.generator)
    checked_loss_weights(model.loss_weights)
    checked_scope(model.field_scope)
    checks.positive_integer("micro_batches", model.micro_batches)
    micro_batches.check(model)
    check_features(model)
    checks.distinct_variables(
        "model",
        [model.generator, model.drift, model.encoder],
        "Give each a network of its own: `copy = "
        "keras.models.clone_model(network)`, and "
        "`copy.set_weights(network.get_weights())` for the same weights.",
    )
    if model.frozen_steps > 1 and not model.stop_gradient:
        raise ValueError(
            "Several optimizer steps toward one frozen field need "
            "stop_gradient=True. Received: "
            f"frozen_steps={model.frozen_steps}, "
            f"stop_gradient={model.stop_gradient}"
        )
    if not (model.stop_gradient or model.drift.differentiable):
        raise ValueError(
            "The velocity of a `VariationalDrift` is a gradient itself, and "
            "its own gradient is unavailable: choose another drift, or "
            "stop_gradient=True. Received: "
            f"drift={type(model.drift).__name__}, stop_gradient=False"
        )


def check_with(model, name, value):
    """Validates the arguments of a model with another value of one of them.

    The model has the value during the checks. Keras tracks it only once it is
    assigned: variables that were tracked once have another order afterwards.
    """
    own = vars(model)
    had, kept = name in own, own.get(name)
    own[name] = value
    try:
        check(model)
    finally:
        if had:
            own[name] = kept
        else:  # PyTorch holds modules elsewhere
            del own[name]


def check_features(model):
    """Checks patterns of feature names against the features of the encoder."""
    patterns = {"loss_weights": list(model.loss_weights or ())}
    if isinstance(model.drift, FeatureDrifts):
        patterns["drift"] = model.drift.patterns
    if not any(patterns.values()):
        return
    if model.encoder.missing():
        return
    samples = keras.KerasTensor((None, *model.generator.sample_shape))
    names = list(model.encoder(samples))
    for argument, received in patterns.items():
        for pattern in received:
            if not fnmatch.filter(names, pattern):
                raise ValueError(
                    f"`{argument}` has the pattern {pattern!r}, which no "
                    f"feature of the encoder matches."
                    f"{checks.did_you_mean(pattern, names)} "
                    f"Received: features {names}"
                )
    if isinstance(model.drift, FeatureDrifts):
        for name in names:
            model.drift.drift_of(name)


def number_of_samples(n, labels):
    """The number of samples that `generate` returns."""
    if n is None and (labels is None or np.ndim(labels) == 0):
        if labels is None:
            raise ValueError(
                "`generate` needs to know how many samples to generate: give "
                "`n`, or `labels`, one for each. Received: n=None, labels=None"
            )
        n = 1
    if np.ndim(n):
        raise TypeError(
            "`n` is the number of samples. For those of certain classes, write "
            f"`generate(labels=...)`. Received: n={n!r}"
        )
    n = checks.positive_integer("n", len(labels) if n is None else n)
    if np.ndim(labels) == 1 and len(labels) != n:
        raise ValueError(
            "`labels` holds the class of each sample, so its length must be "
            f"`n`. Received: n={n}, {len(labels)} labels"
        )
    return n
