"""The Inception network of published metrics."""

import os
import pathlib

import numpy as np

from keras_drift import extras
from keras_drift import fingerprints
from keras_drift.evaluation import torch_fidelity
from keras_drift.presets import cache


class Inception:
    """Features and logits of torch-fidelity's Inception v3.

    Its weights are those of the TensorFlow graph of 2015 that FID is defined
    by, and it resizes images as that graph does. It runs on PyTorch, whatever
    the backend of Keras.

    Args:
        weights: path of the file of weights. Defaults to `None`: searched for
            in the cache of this library and in that of PyTorch.
    """

    def __init__(self, weights=None):
        module = torch_fidelity.load("feature_extractor_inceptionv3")
        path, digest = _found(weights, module.URL_INCEPTION_V3)
        self.fingerprint = f"inception-{digest}"
        self._torch = torch = extras.load(
            "torch", "Published metrics", "torch", "eval"
        )
        _check_weights(torch, path)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        network = module.FeatureExtractorInceptionV3(
            "inception-v3-compat",
            ["2048", "logits_unbiased"],
            feature_extractor_weights_path=os.fspath(path),
        )
        self._network = network.to(self._device)

    def __call__(self, images):
        torch = self._torch
        if images.shape[-1] == 1:
            images = images.repeat(3, axis=-1)
        images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        with torch.no_grad():
            outputs = self._network(torch.from_numpy(images).to(self._device))
        return tuple(output.cpu().numpy() for output in outputs)


def check_weights(weights=None):
    """Refuses weights that are missing or damaged, without making a network.

    Args:
        weights: see `Inception`.
    """
    module = torch_fidelity.load("feature_extractor_inceptionv3")
    _found(weights, module.URL_INCEPTION_V3)


def default_path(url):
    """Where the weights of a URL are looked for first."""
    return cache.root() / "evaluation" / _name_of(url)


def _name_of(url):
    return url.rpartition("/")[-1]


def _found(weights, url):
    """The path of the weights, which exists, and its digest."""
    if weights is None:
        path = _in_cache(url)
        digest = fingerprints.of_file(path)
        _check_digest(path, digest, url)
        return path, digest
    path = pathlib.Path(weights).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            "`inception_weights` is the path of a file, and there is none. "
            f"Download it from {url}. "
            f"Received: inception_weights={str(weights)!r}"
        )
    return path, fingerprints.of_file(path)


def _in_cache(url):
    torch = extras.load("torch", "Published metrics", "torch", "eval")
    hub = pathlib.Path(torch.hub.get_dir()) / "checkpoints"
    for path in (default_path(url), hub / _name_of(url)):
        if path.is_file():
            return path
    raise FileNotFoundError(
        "The weights of the Inception network are not here. Download "
        f"{url} (91 MB) and put it at {str(default_path(url))!r}, or pass the "
        "path of the file as `inception_weights`. For small images, or to "
        "compare runs of your own, `features` may be another network."
    )


def _check_digest(path, digest, url):
    """Refuses a file whose digest is not the one in its name."""
    expected = pathlib.Path(_name_of(url)).stem.rpartition("-")[-1]
    if not digest.startswith(expected):
        raise ValueError(
            "The file of Inception weights is damaged: its SHA-256 should "
            f"begin with {expected}. Delete it and download {url} again. "
            f"Received: {str(path)!r} with SHA-256 {digest}"
        )


def _check_weights(torch, path):
    """Refuses a file with anything but tensors: torch-fidelity unpickles it."""
    try:
        torch.load(path, weights_only=True)
    except Exception as error:
        raise ValueError(
            "The file of Inception weights holds a dict of tensors, saved by "
            f"PyTorch. Received: {str(path)!r}, which cannot be read: {error}"
        ) from error
