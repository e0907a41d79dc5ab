import numpy as np
import pytest
import torch

from keras_drift.evaluation import feature_extractor
from keras_drift.evaluation import torch_fidelity
from keras_drift.evaluation.inception import Inception
from keras_drift.evaluation.inception import default_path


@pytest.fixture(scope="module")
def module():
    return torch_fidelity.load("feature_extractor_inceptionv3")


@pytest.fixture(scope="module")
def weights(module, tmp_path_factory):
    """Random weights of the network, in a file of the published form."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    # The constructor loads weights last: those of the network itself.
    with pytest.MonkeyPatch.context() as patch:
        extractor = module.FeatureExtractorInceptionV3
        patch.setattr(extractor, "load_state_dict", lambda self, state: None)
        patch.setattr(torch, "load", lambda *args, **kwargs: None)
        network = extractor(
            "random", ["2048"], feature_extractor_weights_path="-"
        )
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def network(weights):
    return Inception(weights)


def test_features_are_those_of_torch_fidelity(module, weights, network):
    images = np.random.default_rng(0).integers(
        256, size=(1, 16, 16, 3), dtype="uint8"
    )
    reference = module.FeatureExtractorInceptionV3(
        "reference",
        ["2048", "logits_unbiased"],
        feature_extractor_weights_path=str(weights),
    )
    expected = reference(torch.from_numpy(images).permute(0, 3, 1, 2))
    for one, two in zip(network(images), expected, strict=True):
        assert one.std() > 0
        np.testing.assert_allclose(one, two.numpy(), rtol=1e-4, atol=1e-6)


def test_gray_images_are_shown_in_three_channels(network):
    gray = np.random.default_rng(1).integers(
        256, size=(1, 8, 8, 1), dtype="uint8"
    )
    one, _ = network(gray)
    two, _ = network(gray.repeat(3, axis=-1))
    np.testing.assert_array_equal(one, two)


@pytest.mark.slow
def test_is_the_default_network(weights):
    extractor = feature_extractor.resolve(
        "inception", None, weights, (16, 16, 3)
    )
    assert (extractor.dim, extractor.num_classes) == (2048, 1008)


def test_a_damaged_download_is_refused(module, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = default_path(module.URL_INCEPTION_V3)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half of it")
    with pytest.raises(ValueError, match="should begin with 6726825d"):
        Inception()


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"inception_weights=.*gone"):
        Inception(tmp_path / "gone.pth")
    (tmp_path / "text.pth").write_text("weights")
    with pytest.raises(ValueError, match=r"dict of tensors.*text\.pth"):
        Inception(tmp_path / "text.pth")
