"""Networks of the official release, from their artifacts."""

import contextlib

from keras_drift import autoencoders
from keras_drift import drifts
from keras_drift import encoders
from keras_drift import generators
from keras_drift import kernels
from keras_drift.converters import artifact
from keras_drift.converters import declared_sizes
from keras_drift.converters import official_dit
from keras_drift.converters import official_mae
from keras_drift.models import DriftModel
from keras_drift.models import PowerLawGuidance

_BANDWIDTHS = [0.02, 0.05, 0.2]


def network(source, training):
    """Makes the network of an artifact, with its weights.

    Args:
        source: an `Artifact`.
        training: dict, the recipe of a generator as far as it is known, see
            `registry.released`.

    Returns:
        A `DriftModel` or an `encoders.MAEResNet`.
    """
    arrays = source.read_arrays()
    with _named_in_errors(source.folder):
        if source.kind == "mae":
            return _encoder(source.metadata, arrays)
        return _model(source.metadata, arrays, training)


def _model(metadata, arrays, training):
    config = official_dit.config_of(metadata)
    declared_sizes.check_generator(config, arrays)
    generator = generators.DiT(**config)
    official_dit.assign(generator, arrays)
    return DriftModel(
        generator,
        drifts.KernelDrift(
            kernels.Laplacian(_BANDWIDTHS), normalization="official_dual"
        ),
        encoder=_encoders(training.get("encoders", {})),
        autoencoder=_autoencoder(training.get("autoencoder")),
        num_generated=training.get("num_generated"),
        # Without a recipe: the range of all published configurations.
        guidance_sampler=PowerLawGuidance(**training.get("guidance", {})),
    )


def _encoder(metadata, arrays):
    official_mae.check(metadata, arrays)
    encoder = encoders.MAEResNet(**official_mae.config_of(metadata))
    official_mae.assign(encoder, arrays)
    return encoder


def _encoders(handles):
    """References to the encoders of a recipe, and the samples themselves."""
    if not handles:
        return None
    return encoders.Union(
        [encoders.MissingEncoder(h, name) for name, h in handles.items()]
    )


def _autoencoder(handle):
    """A reference to the autoencoder whose latents are generated, or none."""
    return None if handle is None else autoencoders.MissingAutoencoder(handle)


@contextlib.contextmanager
def _named_in_errors(folder):
    """Adds the folder of the artifact to errors about its content."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`{artifact.METADATA}` or `{artifact.WEIGHTS}` of this artifact "
            f"is altered, or not of the other: {error}. "
            f"Received: artifact={str(folder)!r}"
        ) from error
