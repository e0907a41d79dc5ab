import json

import keras
import numpy as np
import pytest

from contracts import copy_of
from contracts import numpy
from keras_drift import autoencoders
from tiny_autoencoder import TinyAutoencoder


@pytest.fixture(scope="module")
def autoencoder():
    return TinyAutoencoder()


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (5, 4, 6, 3)).astype("float32")


def convolved(images, layer):
    """A convolution that takes patches of 2 x 2 pixels, one at a time."""
    kernel, bias = (numpy(v).astype("float64") for v in layer.weights)
    n, height, width, _ = images.shape
    result = np.zeros((n, height // 2, width // 2, kernel.shape[-1]))
    for i in range(height // 2):
        for j in range(width // 2):
            patch = images[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            result[:, i, j] = np.einsum("nhwc,hwcd->nd", patch, kernel) + bias
    return result


def test_moments_are_those_of_the_encoder(autoencoder, images):
    mean, log_variance = autoencoder.moments(images)
    expected = convolved(images, autoencoder.down)
    np.testing.assert_allclose(mean, expected[..., :4], atol=1e-5)
    np.testing.assert_allclose(log_variance, expected[..., 4:], atol=1e-5)
    assert mean.dtype == log_variance.dtype == np.float32


def test_encodes_to_the_mean_or_to_a_sample_of_the_posterior(
    autoencoder, images
):
    mean, log_variance = autoencoder.moments(images)
    np.testing.assert_array_equal(autoencoder.encode(images), mean)
    draws = np.stack([autoencoder.encode(images, seed) for seed in range(400)])
    deviation = np.exp(log_variance / 2)
    # Five standard errors of 400 draws.
    np.testing.assert_array_less(
        np.abs(draws.mean(axis=0) - mean), 5 / 20 * deviation
    )
    np.testing.assert_allclose(draws.std(axis=0), deviation, rtol=0.2)


def test_a_seed_determines_the_sample(autoencoder, images):
    sample = autoencoder.encode(images, seed=3)
    np.testing.assert_array_equal(sample, autoencoder.encode(images, seed=3))
    np.testing.assert_allclose(
        sample[:2], autoencoder.encode(images[:2], seed=3), atol=1e-5
    )
    assert np.abs(sample - autoencoder.encode(images, seed=4)).max() > 0.1


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_results_do_not_depend_on_the_batch_size(
    autoencoder, images, batch_size
):
    latents = autoencoder.encode(images, batch_size=5)
    chunks = autoencoder.encode(images, batch_size=batch_size)
    np.testing.assert_allclose(chunks, latents, atol=1e-5)
    whole = autoencoder.decode(latents, batch_size=5)
    chunks = autoencoder.decode(latents, batch_size=batch_size)
    np.testing.assert_allclose(chunks, whole, atol=1e-5)
    assert chunks.shape == images.shape


def test_no_forward_pass_has_more_images_than_asked_for(images):
    class Watched(TinyAutoencoder):
        sizes = []  # noqa: RUF012

        def call_decoder(self, latents):
            self.sizes.append(latents.shape[0])
            return super().call_decoder(latents)

    autoencoder = Watched(batch_size=2)
    latents = autoencoder.encode(images)
    assert len(autoencoder.decode(latents)) == 5
    assert set(autoencoder.sizes) == {2}
    autoencoder.sizes.clear()
    autoencoder.decode(latents, batch_size=1)
    assert set(autoencoder.sizes) == {1}


def test_as_a_layer_it_reconstructs(autoencoder, images):
    reconstructed = autoencoder.decode(autoencoder.encode(images))
    np.testing.assert_allclose(
        numpy(autoencoder(images)), reconstructed, atol=1e-5
    )


def test_programs_use_the_current_weights(images):
    autoencoder = TinyAutoencoder()
    before = autoencoder.encode(images)
    for variable in autoencoder.down.weights:
        variable.assign(variable * 2)
    np.testing.assert_allclose(
        autoencoder.encode(images), 2 * before, atol=1e-5
    )


class Scaled(TinyAutoencoder):
    """An autoencoder whose programs read an attribute."""

    scale = 1.0

    def call_encoder(self, images):
        mean, log_variance = super().call_encoder(images)
        return self.scale * mean, log_variance

    def call_decoder(self, latents):
        return super().call_decoder(latents / self.scale)


def test_programs_use_the_current_attributes(images):
    autoencoder = Scaled()
    before = autoencoder.encode(images)
    decoded = autoencoder.decode(before)
    autoencoder.scale = 2.0
    np.testing.assert_allclose(
        autoencoder.encode(images), 2 * before, atol=1e-5
    )
    np.testing.assert_allclose(
        autoencoder.decode(2 * before), decoded, atol=1e-5
    )


def test_is_frozen_and_exact(autoencoder):
    assert autoencoder.weights
    assert not autoencoder.trainable_variables
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert TinyAutoencoder().compute_dtype == "float32"
    finally:
        keras.config.set_dtype_policy(before)


def test_half_precision_may_be_asked_for(autoencoder, images):
    half = TinyAutoencoder(dtype="bfloat16")
    half.set_weights(autoencoder.get_weights())
    decoded = half.decode(half.encode(images))
    assert decoded.dtype == np.float32
    exact = autoencoder.decode(autoencoder.encode(images))
    error = np.abs(decoded - exact).max()
    assert 1e-5 < error < 0.05


def test_config_and_preset_restore_it(images, tmp_path):
    autoencoder = TinyAutoencoder()
    assert copy_of(TinyAutoencoder(batch_size=3)).batch_size == 3
    for variable in autoencoder.weights:
        variable.assign(variable + 0.1)
    autoencoder.save_to_preset(tmp_path / "mine", {"description": "tiny"})
    for cls in (TinyAutoencoder, autoencoders.Autoencoder):
        copy = cls.from_preset(tmp_path / "mine")
        assert type(copy) is TinyAutoencoder
        np.testing.assert_array_equal(
            copy.encode(images), autoencoder.encode(images)
        )
    metadata = json.loads((tmp_path / "mine/metadata.json").read_text())
    assert metadata["num_parameters"] == 8 * 12 + 8 + 4 * 12 + 3
    with pytest.raises(ValueError, match=r"holds a `TinyAut.*`StableDiff"):
        autoencoders.StableDiffusion.from_preset(tmp_path / "mine")


def test_names_a_wrong_shape(autoencoder):
    for shape in ((2, 5, 4, 3), (2, 4, 4, 1), (4, 4, 3)):
        with pytest.raises(ValueError, match=r"multiples of 2.*Received"):
            autoencoder.encode(np.zeros(shape))
    for shape in ((2, 4, 4, 3), (4, 4)):
        with pytest.raises(ValueError, match=r"width, 4\)`.*Received"):
            autoencoder.decode(np.zeros(shape))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_names_pixels_that_are_bytes(autoencoder, dtype):
    images = np.full((1, 4, 4, 3), 255, dtype)
    with pytest.raises(ValueError, match=r"127.5 - 1.*to 255"):
        autoencoder.encode(images)
    with pytest.raises(ValueError, match=r"-1 to 1"):
        autoencoder.encode(np.full((1, 4, 4, 3), np.nan))


def test_names_wrong_arguments(autoencoder, images):
    with pytest.raises(ValueError, match="`images` is empty"):
        autoencoder.encode(images[:0])
    with pytest.raises(ValueError, match="`latents` is empty"):
        autoencoder.decode(np.zeros((0, 2, 2, 4)))
    with pytest.raises(ValueError, match=r"`batch_size`.*=0"):
        autoencoder.encode(images, batch_size=0)
    with pytest.raises(ValueError, match=r"`batch_size`.*=0"):
        TinyAutoencoder(batch_size=0)
    with pytest.raises(ValueError, match=r"`seed`.*=-1"):
        autoencoder.encode(images, seed=-1)


def test_says_what_an_autoencoder_is(autoencoder):
    assert autoencoders.get(None) is None
    assert autoencoders.get(autoencoder) is autoencoder
    with pytest.raises(TypeError, match=r"An autoencoder is.*Received: "):
        autoencoders.get(keras.Sequential())
