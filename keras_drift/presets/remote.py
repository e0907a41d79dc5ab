"""Presets on hubs: Hugging Face, Kaggle and Google Cloud Storage."""

from keras_drift.presets import files
from keras_drift.presets import hub
from keras_drift.presets import kaggle
from keras_drift.presets import storage

HUBS = (hub, kaggle, storage)
FORMS = (
    "'hf://owner/name' on the Hugging Face hub, "
    "'kaggle://owner/model/keras/variation' on Kaggle, or "
    "'gs://bucket/folder' on Google Cloud Storage"
)


def of(handle):
    """The module of the hub that a handle names, or `None`."""
    for each in HUBS:
        if str(handle).startswith(each.PREFIX):
            return each
    return None


def fetch(handle, with_weights=True):
    """Fetches a preset, where it is not cached.

    Args:
        handle: str, one of `FORMS`.
        with_weights: bool, whether its weights are needed. Defaults to `True`.

    Returns:
        The `pathlib.Path` of the folder in the cache of the hub.
    """
    return files.fetch(of(handle).fetcher(handle), with_weights)
