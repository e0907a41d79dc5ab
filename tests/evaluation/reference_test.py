import numpy as np
import pytest
from PIL import Image

import user_line
from keras_drift.evaluation import reference
from keras_drift.evaluation.feature_extractor import FeatureExtractor

SHAPE = (6, 6, 3)
OPTIONS = {"batch_size": 13, "cache_dir": None, "verbose": 0}


def pixels(images):
    return images[:, :2, :2].reshape(len(images), -1).astype("float64")


@pytest.fixture
def counted():
    """An extractor that counts the images of the references."""

    def function(images):
        extractor.images += len(images)
        return pixels(images)

    extractor = FeatureExtractor(pixels, SHAPE)
    extractor.function = function
    extractor.images = 0
    return extractor


def load(source, extractor, **options):
    return reference.load(source, extractor, SHAPE, {**OPTIONS, **options})


def check_moments(found, images):
    features = pixels(images)
    np.testing.assert_allclose(found.mu, features.mean(0), rtol=1e-10)
    expected = np.cov(features, rowvar=False)
    np.testing.assert_allclose(found.sigma, expected, rtol=1e-8, atol=1e-8)


def test_moments_are_those_of_all_images(counted, data):
    found = load(data, counted)
    check_moments(found, data)
    assert found.num_images == len(data)
    # In another order.
    one, two = (np.sort(x, axis=0) for x in (found.features, pixels(data)))
    np.testing.assert_array_equal(one, two)


def test_features_of_large_means_keep_their_covariance(data):
    offset = FeatureExtractor(lambda x: 2.0**18 + pixels(x), SHAPE)
    found = load(data, offset)
    expected = np.cov(pixels(data), rowvar=False)
    np.testing.assert_allclose(found.sigma, expected, rtol=1e-8, atol=1e-8)


def test_features_of_a_few_images_are_kept(counted, data, monkeypatch):
    monkeypatch.setattr(reference, "_MAX_FEATURES", 20)
    found = load(data, counted)
    check_moments(found, data)
    assert len(found.features) == 20
    # At random, not those that come first.
    first = np.sort(pixels(data[:20]), axis=0)
    assert np.any(np.sort(found.features, axis=0) != first)


def test_floats_are_the_bytes_that_they_were(counted, data):
    one = load(data, counted)
    two = load(data.astype("float32") / 127.5 - 1, counted)
    assert one.digest == two.digest
    check_moments(two, data)


def test_statistics_are_cached_by_content(counted, data, tmp_path, cache):
    for source in (data, data.copy(), list(data)):
        load(source, counted)
    assert counted.images == len(data)
    assert len(list((cache / "evaluation").iterdir())) == 1
    changed = data.copy()
    changed[3, 0, 0, 0] ^= 1
    check_moments(load(changed, counted), changed)
    assert counted.images == 2 * len(data)
    # Another network.
    other = FeatureExtractor(lambda x: x[:, 0, 0] / 255.0, SHAPE)
    assert load(data, other).mu.shape == (3,)
    load(data, counted, cache_dir=tmp_path / "elsewhere")
    assert counted.images == 3 * len(data)


def test_damaged_statistics_are_made_again(counted, data, cache):
    load(data, counted)
    (path,) = (cache / "evaluation").iterdir()
    path.write_bytes(path.read_bytes()[:100])
    with user_line.warns("is damaged, and is made again"):
        check_moments(load(data, counted), data)
    check_moments(load(data, counted), data)
    assert counted.images == 2 * len(data)


def test_a_file_in_a_folder_is_seen_to_change(counted, data, tmp_path):
    for i, each in enumerate(data):
        Image.fromarray(each).save(tmp_path / f"{i:03d}.png")
    check_moments(load(tmp_path, counted), data)
    load(tmp_path, counted)
    assert counted.images == len(data)
    data = data.copy()
    data[0] = 255 - data[0]
    Image.fromarray(data[0]).save(tmp_path / "000.png")
    check_moments(load(tmp_path, counted), data)


@pytest.mark.parametrize("names", [("mu", "sigma"), ("ref_mu", "ref_sigma")])
def test_reads_statistics(counted, tmp_path, names):
    mu, sigma = np.arange(12.0), np.diag(np.arange(12.0))
    path = tmp_path / "statistics.npz"
    np.savez(path, **dict(zip(names, (mu, sigma), strict=True)), other=3)
    found = load(path, counted)
    np.testing.assert_array_equal(found.mu, mu)
    np.testing.assert_array_equal(found.sigma, sigma)
    assert found.features is None
    assert found.num_images is None
    assert counted.images == 0


def test_reads_images(counted, data, tmp_path):
    np.savez(tmp_path / "images.npz", arr_0=data)
    found = load(str(tmp_path / "images.npz"), counted)
    check_moments(found, data)
    assert len(found.features) == len(data)


def test_statistics_go_before_images_as_in_files_of_adm(
    counted, data, tmp_path
):
    path = tmp_path / "adm.npz"
    mu, sigma = np.arange(12.0, dtype="float32"), np.eye(12, dtype="float32")
    np.savez(path, arr_0=data, mu=mu, sigma=sigma, mu_s=mu[:3], sigma_s=sigma)
    found = load(path, counted)
    np.testing.assert_array_equal(found.mu, mu)
    assert found.mu.dtype == found.sigma.dtype == "float64"
    assert len(found.features) == len(data)


def _asymmetric():
    sigma = np.eye(12)
    sigma[0, 1] = 1
    return sigma


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mean": np.zeros(12)}, "holds `mu` and `sigma`.*with mean"),
        ({"mu": np.zeros(12)}, "with mu"),
        ({"mu": np.zeros(9), "sigma": np.eye(9)}, "returns 12 of them"),
        ({"mu": np.zeros(12), "sigma": np.eye(9)}, r"sigma of shape \(9, 9\)"),
        ({"mu": np.zeros(12), "sigma": _asymmetric()}, "is symmetric"),
        ({"mu": np.zeros(12), "sigma": -np.eye(12)}, "not negative"),
        ({"mu": np.full(12, np.nan), "sigma": np.eye(12)}, "are finite"),
        ({"arr_0": np.zeros((9, 8, 8, 3), "uint8")}, r"\(9, 8, 8, 3\)"),
        ({"arr_0": np.zeros((9, 108), "uint8")}, r"\(9, 108\)"),
    ],
)
def test_wrong_files_are_refused(counted, tmp_path, arrays, message):
    path = tmp_path / "wrong.npz"
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=message):
        load(path, counted)


def test_other_files_are_refused(counted, tmp_path):
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "text.npz").write_text("mu")
    np.savez(tmp_path / "cut.npz", mu=np.zeros(12), sigma=np.eye(12))
    whole = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:-40])
    for name in ("array.npy", "text.npz", "cut.npz"):
        with pytest.raises(ValueError, match=f"cannot read as.*{name}"):
            load(tmp_path / name, counted)
