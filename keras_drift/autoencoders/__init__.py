"""Frozen maps between images and the latents that a generator makes."""

from keras_drift.autoencoders.autoencoder import Autoencoder
from keras_drift.autoencoders.missing_autoencoder import MissingAutoencoder
from keras_drift.autoencoders.patch_pca import PatchPCA
from keras_drift.autoencoders.stable_diffusion import StableDiffusion

__all__ = [
    "Autoencoder",
    "MissingAutoencoder",
    "PatchPCA",
    "StableDiffusion",
    "get",
]


def get(identifier):
    """Returns the autoencoder that is given, or `None`.

    Args:
        identifier: an `Autoencoder`, or `None`.

    Returns:
        The same.
    """
    if identifier is None or isinstance(identifier, Autoencoder):
        return identifier
    raise TypeError(
        "An autoencoder is a `keras_drift.autoencoders.Autoencoder`, such as "
        "`StableDiffusion`, or `None` where samples are not latents. "
        f"Received: autoencoder={identifier!r}"
    )
