import keras
import numpy as np

from contracts import numpy
from keras_drift.encoders import convnext_block

# So small that an epsilon of 1e-6 decides about half of the result.
MAPS = 1e-3 * np.random.default_rng(0).normal(size=(2, 3, 3, 8))
MAPS = MAPS.astype("float32")


def test_the_layer_norm_has_the_published_epsilon():
    layer = convnext_block.channel_norm("norm", "float32")
    centered = MAPS - MAPS.mean(axis=-1, keepdims=True)
    variance = np.square(centered).mean(axis=-1, keepdims=True)
    expected = centered / np.sqrt(variance + 1e-6)
    np.testing.assert_allclose(numpy(layer(MAPS)), expected, rtol=1e-3)


def test_the_response_norm_has_the_published_epsilons():
    # Norms of 1e-6, too, show the epsilon beside their mean.
    for scale in (1.0, 1e-3):
        layer = convnext_block.ResponseNormalization()
        layer.build(MAPS.shape)
        layer.gamma.assign(np.ones(8))
        maps = (scale * MAPS).astype("float32")
        squares = np.square(maps.astype("float64")).sum(axis=(1, 2))
        norm = np.sqrt(squares + 1e-6)[:, None, None]
        response = norm / (norm.mean(axis=-1, keepdims=True) + 1e-6)
        found = numpy(layer(maps))
        np.testing.assert_allclose(found, maps * response + maps, rtol=2e-4)


def test_the_mean_norm_has_the_published_epsilon():
    """Alone: beneath the first epsilon, the second is a thousandth."""
    layer = convnext_block.ResponseNormalization()
    layer.build(MAPS.shape)
    layer.gamma.assign(np.ones(8))
    found = numpy(layer(np.full((1, 1, 1, 8), 1.0, "float32")))
    tiny = numpy(layer(np.full((1, 1, 1, 8), 1e-6, "float32")))
    # 1 + norm / (norm + 1e-6), where the norm is 1e-3 at least.
    np.testing.assert_allclose(found, 2.0, rtol=1e-5)
    np.testing.assert_allclose(1e6 * tiny, 2 - 1e-3, rtol=1e-4)


def test_a_block_uses_them():
    block = convnext_block.ConvNeXtBlock(8)
    assert isinstance(block.norm, keras.layers.LayerNormalization)
    assert block.norm.epsilon == 1e-6
    assert isinstance(block.response_norm, convnext_block.ResponseNormalization)
