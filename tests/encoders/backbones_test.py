"""Backbones of other libraries as encoders, with random weights."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

from contracts import copy_of
from contracts import in_one_program
from contracts import numpy
from keras_drift import DriftModel
from keras_drift import encoders
from keras_drift import generators
from small_models import fitted

ROOT = pathlib.Path(encoders.__file__).parents[2]
IMAGES = np.random.default_rng(0).uniform(-1, 1, (4, 8, 8, 3))
IMAGES = IMAGES.astype("float32")


@pytest.fixture(scope="module")
def dinov2():
    keras_hub = pytest.importorskip("keras_hub")
    return keras_hub.models.DINOV2Backbone(
        patch_size=2,
        num_layers=2,
        hidden_dim=8,
        num_heads=2,
        intermediate_dim=16,
        num_register_tokens=1,
        image_shape=(8, 8, 3),
        position_embedding_shape=(8, 8, 3),
    )


@pytest.fixture(scope="module")
def encoder(dinov2):
    """The levels of DINOv2's feature pyramid, with patch statistics."""
    return encoders.Pooled(
        encoders.Pretrained(
            dinov2,
            outputs=["stage1", "stage2", "layernorm"],
            preprocessing="imagenet",
            num_prefix_tokens=2,
        ),
        stds=(),
    )


def test_gives_a_backbone_the_dict_it_expects(dinov2):
    features = in_one_program(encoders.get(dinov2))(IMAGES)
    expected = in_one_program(dinov2)({"images": IMAGES})
    np.testing.assert_allclose(
        numpy(features["feature_0"]), numpy(expected), atol=1e-6
    )


def test_levels_of_a_feature_pyramid_are_features(dinov2, encoder):
    features = in_one_program(encoder)(IMAGES)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    pyramid = keras.Model(dinov2.input, dinov2.pyramid_outputs)
    normalized = ((IMAGES + 1) / 2 - mean) / std
    program = in_one_program(lambda images: dict(pyramid(images)))
    levels = program({"images": normalized.astype("float32")})
    for name in ("stage1", "stage2"):
        level = numpy(levels[name])
        np.testing.assert_allclose(
            numpy(features[name]), level[:, 2:], atol=1e-5
        )
        np.testing.assert_allclose(
            numpy(features[f"{name}_prefix"]), level[:, :2], atol=1e-5
        )
        patches = level[:, 2:].reshape(4, 2, 2, 2, 2, 8).mean((2, 4))
        np.testing.assert_allclose(
            numpy(features[f"{name}_mean_2"]),
            patches.reshape(4, 4, 8),
            atol=1e-5,
        )


def test_a_model_trains_in_the_features_of_a_backbone(encoder):
    generator = generators.DiT((8, 8, 3), hidden_dim=8, depth=1, num_heads=1)
    model = DriftModel(generator, encoder=encoder, seed=0)
    before = model.encoder.get_weights()
    history = fitted(model, IMAGES, batch_size=4).history
    assert history["loss"][0] > 0
    assert not model.encoder.trainable_variables
    for weight, old in zip(model.encoder.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


LOAD = """
import json, sys
import numpy as np
import keras_drift as kd
assert "keras_hub" not in sys.modules
encoder = kd.encoders.Encoder.from_preset(sys.argv[1])
print(json.dumps([float(np.sum(np.abs(w))) for w in encoder.get_weights()]))
"""


@pytest.mark.slow
def test_a_preset_loads_where_the_library_is_not_imported(encoder, tmp_path):
    encoder.build((None, 8, 8, 3))
    encoder.save_to_preset(tmp_path / "dinov2")
    result = subprocess.run(
        [sys.executable, "-c", LOAD, str(tmp_path / "dinov2")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    sums = json.loads(result.stdout.splitlines()[-1])
    expected = [np.sum(np.abs(weight)) for weight in encoder.get_weights()]
    np.testing.assert_allclose(sums, expected, rtol=1e-5)


@pytest.fixture(scope="module")
def mobilenet():
    return keras.applications.MobileNetV2(
        input_shape=(32, 32, 3), alpha=0.35, weights=None, include_top=False
    )


def test_layers_of_an_application_are_features(mobilenet):
    names = ["block_1_expand_relu", "block_3_expand_relu"]
    resized = keras.Sequential([layers.Resizing(32, 32)])
    encoder = encoders.Pretrained(
        mobilenet, outputs=names, preprocessing=resized
    )
    encoder.build((None, 8, 8, 3))
    copy = copy_of(encoder)
    copy.set_weights(encoder.get_weights())
    assert len(copy.weights) == len(mobilenet.weights)
    assert copy.map_sizes((8, 8, 3)) == {names[0]: (16, 16), names[1]: (8, 8)}
    cut = keras.Model(
        mobilenet.input, [mobilenet.get_layer(name).output for name in names]
    )
    features = in_one_program(copy)(IMAGES)
    assert list(features) == names
    expected = in_one_program(lambda x: cut(resized(x)))(IMAGES)
    for name, maps in zip(names, expected, strict=True):
        np.testing.assert_allclose(
            numpy(features[name]),
            numpy(maps).reshape(4, -1, maps.shape[-1]),
            atol=1e-5,
        )


def test_names_images_of_another_size(mobilenet):
    generator = generators.DiT((8, 8, 3), hidden_dim=8, depth=1, num_heads=1)
    with pytest.raises(
        ValueError,
        match=r"takes inputs of shape \(32, 32, 3\).*`preprocessing`.*Resizing"
        r".*samples of shape \(8, 8, 3\)",
    ):
        DriftModel(generator, encoder=mobilenet)
    with pytest.raises(ValueError, match=r"\(16, 16, 3\) after preprocessing"):
        encoders.Pretrained(
            mobilenet, preprocessing=layers.Resizing(16, 16)
        ).build((None, 8, 8, 3))


def test_suggests_the_layer_that_was_meant(mobilenet):
    with pytest.raises(
        ValueError, match=r"no layer 'block_1_expand_rel'. Did you mean 'block_"
    ):
        encoders.Pretrained(mobilenet, outputs=["block_1_expand_rel"])
