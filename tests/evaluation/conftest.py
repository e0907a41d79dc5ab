"""A generator of small images, a network of features, and references."""

import importlib.util

import keras
import numpy as np
import pytest
from keras import layers

from keras_drift import DriftModel
from keras_drift import PowerLawGuidance
from keras_drift import generators

IMAGE_SHAPE = (6, 6, 3)


@pytest.fixture(autouse=True)
def _torch_fidelity():
    if importlib.util.find_spec("torch_fidelity") is None:
        pytest.skip("needs torch-fidelity, which `make test` installs")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """A cache of its own for every test."""
    path = tmp_path / "cache"
    monkeypatch.setenv("KERAS_DRIFT_CACHE", str(path))
    return path


def initializer(seed, scale=1.0):
    return keras.initializers.RandomNormal(stddev=scale, seed=seed)


@pytest.fixture(scope="module")
def model():
    """Four classes of images, guided; its weights are those of every test."""
    noise = keras.Input((5,), name="noise")
    labels = keras.Input((), dtype="int32", name="labels")
    guidance = keras.Input((), name="guidance")
    condition = layers.Embedding(4, 5, initializer(0))(labels)
    mixed = noise + condition * guidance[:, None]
    images = layers.Dense(108, "tanh", kernel_initializer=initializer(1, 0.5))(
        mixed
    )
    images = layers.Reshape(IMAGE_SHAPE)(images)
    network = keras.Model([noise, labels, guidance], images)
    return DriftModel(
        generators.Functional(network, num_classes=4),
        guidance_sampler=PowerLawGuidance(1.0, 4.0),
        seed=0,
    )


@pytest.fixture(scope="module")
def network_file(tmp_path_factory):
    """The file of a network with features and logits."""
    images = keras.Input(IMAGE_SHAPE)
    features = layers.Dense(8, "tanh", kernel_initializer=initializer(2, 0.2))(
        layers.Flatten()(images)
    )
    logits = layers.Dense(5, kernel_initializer=initializer(3))(features)
    network = keras.Model(images, {"features": features, "logits": logits})
    path = tmp_path_factory.mktemp("network") / "features.keras"
    network.save(path)
    return path


@pytest.fixture(scope="module")
def data():
    """Reference images as bytes."""
    rng = np.random.default_rng(5)
    base = rng.normal(size=(80, 1, 1, 3)) * 40 + 120
    noise = rng.normal(size=(80, *IMAGE_SHAPE)) * 30
    return np.clip(base + noise, 0, 255).astype("uint8")
