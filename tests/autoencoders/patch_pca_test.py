import numpy as np
import pytest

from contracts import copy_of
from keras_drift import autoencoders
from keras_drift import generators
from keras_drift.autoencoders import PatchPCA
from keras_drift.models import DriftModel


@pytest.fixture(scope="module")
def images():
    """Smooth images, whose patches have few components."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(-0.8, 0.8, (40, 3, 4, 2))
    fine = coarse.repeat(4, axis=1).repeat(4, axis=2)
    slope = np.linspace(-0.1, 0.1, 4)
    fine = fine + np.tile(slope, 4)[:, None] * rng.normal(size=(40, 1, 1, 1))
    return fine.clip(-1, 1).astype("float32")


def adapted(images, channels=3):
    autoencoder = PatchPCA(4, channels, image_channels=2)
    autoencoder.adapt(images)
    return autoencoder


def patches_by_hand(images):
    """All patches, one after the other, rows of float64."""
    found = []
    for image in images.astype("float64"):
        for i in range(0, image.shape[0], 4):
            for j in range(0, image.shape[1], 4):
                found.append(image[i : i + 4, j : j + 4].reshape(-1))
    return np.array(found)


def test_reconstructs_as_the_singular_value_decomposition_does(images):
    patches = patches_by_hand(images)
    mean = patches.mean(axis=0)
    u, s, v = np.linalg.svd(patches - mean, full_matrices=False)
    expected = mean + (u[:, :3] * s[:3]) @ v[:3]
    autoencoder = adapted(images)
    found = autoencoder.decode(autoencoder.encode(images))
    np.testing.assert_allclose(
        patches_by_hand(found), expected.clip(-1, 1), atol=1e-5
    )


def test_latents_are_white(images):
    latents = adapted(images).encode(images).reshape(-1, 3)
    np.testing.assert_allclose(latents.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(
        np.cov(latents.T, bias=True), np.eye(3), atol=1e-4
    )


def test_components_come_in_the_order_of_their_variance(images):
    errors = []
    for channels in (1, 2, 3, 32):
        autoencoder = adapted(images, channels)
        found = autoencoder.decode(autoencoder.encode(images))
        errors.append(np.square(found - images).mean())
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-10  # all of them lose nothing


def test_a_sample_of_the_posterior_is_its_mean(images):
    autoencoder = adapted(images)
    np.testing.assert_allclose(
        autoencoder.encode(images, seed=0),
        autoencoder.encode(images),
        atol=1e-5,
    )


def test_blocks_of_images_change_nothing(images, monkeypatch):
    monkeypatch.setattr(autoencoders.patch_pca, "_BLOCK", 7)
    in_blocks = adapted(images).encode(images)
    monkeypatch.undo()
    np.testing.assert_allclose(
        in_blocks, adapted(images).encode(images), atol=1e-4
    )


def test_is_saved_with_its_components(images, tmp_path):
    autoencoder = adapted(images)
    autoencoder.save_to_preset(tmp_path / "pca")
    loaded = autoencoders.Autoencoder.from_preset(tmp_path / "pca")
    assert isinstance(loaded, PatchPCA)
    np.testing.assert_array_equal(
        loaded.encode(images), autoencoder.encode(images)
    )
    assert copy_of(autoencoder).get_config() == autoencoder.get_config()


def test_decodes_what_a_model_generates(images):
    autoencoder = adapted(images)
    generator = generators.DiT((3, 4, 3), patch_size=1, hidden_dim=8, depth=1)
    model = DriftModel(generator, autoencoder=autoencoder, seed=0)
    assert model.generate(2, seed=0).shape == (2, 12, 16, 2)


def test_refuses_to_encode_before_the_components_are_known(images):
    autoencoder = PatchPCA(4, 3, image_channels=2)
    with pytest.raises(ValueError, match="`adapt"):
        autoencoder.encode(images)
    with pytest.raises(ValueError, match="`adapt"):
        autoencoder.decode(np.zeros((1, 3, 4, 3)))


def test_refuses_more_components_than_numbers():
    with pytest.raises(ValueError, match="latent_channels=13"):
        PatchPCA(2, 13)


@pytest.mark.parametrize("count", [0, 1])
def test_refuses_fewer_patches_than_components(images, count):
    with pytest.raises(ValueError, match="more patches"):
        PatchPCA(4, 12, image_channels=2).adapt(images[:count])


def test_refuses_bytes(images):
    with pytest.raises(ValueError, match="from -1 to 1"):
        PatchPCA(4, 3, image_channels=2).adapt((images + 1) * 127)


def test_what_did_not_vary_is_not_enlarged():
    # Of gray images all components but one are constant.
    gray = np.linspace(-0.9, 0.9, 30)[:, None, None, None]
    autoencoder = adapted(np.broadcast_to(gray, (30, 8, 8, 2)))
    others = np.random.default_rng(0).uniform(-1, 1, (5, 8, 8, 2))
    latents = autoencoder.encode(others)
    assert np.abs(latents).max() < 20
    assert np.isfinite(latents.astype("float16")).all()
