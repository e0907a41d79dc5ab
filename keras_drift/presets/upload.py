"""Uploads presets to hubs."""

import os
import pathlib
import shutil
import tempfile

from keras_drift import images
from keras_drift.presets import card
from keras_drift.presets import files
from keras_drift.presets import handles
from keras_drift.presets import remote
from keras_drift.presets import safety
from keras_drift.presets.preset_mixin import PresetMixin

CARD = "README.md"
PICTURE = "samples.png"
# Uploaded where the folder has them.
_OPTIONAL = (CARD, PICTURE, "LICENSE")


def upload_preset(uri, directory):
    """Uploads a preset to a hub, with a model card.

    The preset is loaded first, so that what is uploaded can be loaded. Where
    the folder has no `README.md`, a model card is made of its metadata:
    description, training data, metrics with their floors and the command that
    measured them, license, ten lines to use it, and, if Pillow is installed
    and the preset generates images, a grid of samples. Pass them to
    `save_to_preset(directory, metadata)`. Every upload writes the card again,
    until somebody edits it.

    Needs `pip install "keras-drift[hub]"`, and a login: `hf auth login`, or
    `kagglehub.login()`.

    Args:
        uri: str, `"hf://owner/name"` on the Hugging Face hub, or
            `"kaggle://owner/model/keras/variation"` on Kaggle. What is not
            there is created. A card of the repository that somebody has
            written or edited stays, unless the folder has one.
        directory: path of a folder that `save_to_preset` wrote. It may also
            hold `README.md`, `samples.png` and `LICENSE`; no other files are
            uploaded.

    Returns:
        The address of its page, a str.

    Example:

    ```python
    model.save_to_preset("digits", {"description": "8x8 digits", ...})
    kd.upload_preset("hf://me/digits", "digits")
    model = kd.DriftModel.from_preset("hf://me/digits")
    ```
    """
    hub = _hub(uri)
    folder = pathlib.Path(directory).expanduser()
    metadata = files.read_metadata(folder)
    has_weights = metadata.get("has_weights") is not False
    loaded = PresetMixin.from_preset(folder, has_weights)
    # As on the machine that will load it.
    files.read_config(folder, has_weights, handles.is_public)
    safety.check_links(folder, _OPTIONAL)
    has_card = _has_card_of_somebody(folder)
    optional = [name for name in _OPTIONAL if (folder / name).is_file()]
    if not has_card and CARD in optional:
        optional.remove(CARD)
    with tempfile.TemporaryDirectory() as staged:
        staged = pathlib.Path(staged)
        for name in (*files.file_names(folder), *optional):
            _link(folder / name, staged / name)
        if not has_card:
            picture = PICTURE if PICTURE in optional else None
            if picture is None and _write_picture(loaded, staged / PICTURE):
                picture = PICTURE
            written = card.text(
                str(uri), _class_path(loaded), metadata, picture
            )
            (staged / CARD).write_text(written, "utf-8")
        keep_card = not has_card
        return hub.upload(uri, staged, keep_card, card.license_id(metadata))


def _has_card_of_somebody(folder):
    """Whether a folder has a card that is not generated, or was edited."""
    path = folder / CARD
    return path.is_file() and not card.is_generated(path.read_text("utf-8"))


def _hub(uri):
    hub = remote.of(uri)
    if hub is None:
        raise ValueError(
            "A preset is uploaded to 'hf://owner/name' on the Hugging Face "
            "hub, or to 'kaggle://owner/model/keras/variation' on Kaggle. "
            f"Received: uri={str(uri)!r}"
        )
    hub.parse(uri)
    if not hasattr(hub, "upload"):
        raise ValueError(
            "Folders are uploaded to Google Cloud Storage by its own tool: "
            f"`gcloud storage cp -r DIRECTORY {uri}`. "
            f"Received: uri={str(uri)!r}"
        )
    return hub


def _link(source, target):
    """Makes a file appear at another path, without a copy where possible."""
    try:
        os.link(source.resolve(), target)
    except OSError:  # another file system
        shutil.copy(source, target)


def _class_path(loaded):
    """The path below `keras_drift` of a class, such as `generators.MLP`."""
    folder = type(loaded).__module__.split(".")[1:2]
    name = type(loaded).__name__
    return name if folder == ["models"] else ".".join([*folder, name])


def _write_picture(loaded, path):
    """Writes a grid of samples; returns whether there was something to show."""
    if not hasattr(loaded, "generate"):
        return False
    try:
        images.write_png(path, images.sample_grid(loaded))
    except (ModuleNotFoundError, ValueError):
        return False  # without Pillow, no images, or without their autoencoder
    return True
