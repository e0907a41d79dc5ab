import numpy as np
import pytest
from keras import applications
from keras import layers

from contracts import copy_of
from contracts import numpy
from keras_drift.encoders import image_scaling
from keras_drift.encoders.image_scaling import ImageScaling

IMAGES = np.random.default_rng(0).uniform(-1, 1, (2, 3, 4, 3)).astype("float32")
BYTES = (IMAGES.astype("float64") + 1) * 127.5
EXPECTED = {
    "[0, 1]": BYTES / 255,
    "[0, 255]": BYTES,
    "imagenet": applications.imagenet_utils.preprocess_input(
        BYTES.copy(), data_format="channels_last", mode="torch"
    ),
    "caffe": applications.imagenet_utils.preprocess_input(
        BYTES.copy(), data_format="channels_last", mode="caffe"
    ),
}


@pytest.mark.parametrize("mode", EXPECTED)
def test_scales_as_keras_applications_do(mode):
    scaling = copy_of(ImageScaling(mode))
    np.testing.assert_allclose(
        numpy(scaling(IMAGES)), EXPECTED[mode], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("mode", ["imagenet", "caffe"])
def test_names_images_of_other_channels(mode):
    with pytest.raises(ValueError, match=r"of which '.*' has 3. Received.*1\)"):
        ImageScaling(mode)(np.zeros((2, 4, 4, 1), "float32"))


def test_a_layer_stands_for_itself_and_a_name_for_a_scaling():
    layer = layers.Rescaling(2.0)
    assert image_scaling.get(layer) is layer
    assert image_scaling.get(None) is None
    assert image_scaling.get("caffe").mode == "caffe"


def test_says_what_preprocessing_is():
    with pytest.raises(ValueError, match=r"Did you mean 'imagenet'"):
        image_scaling.get("image_net")
    with pytest.raises(TypeError, match=r"no config: write it as a layer"):
        image_scaling.get(applications.vgg16.preprocess_input)
