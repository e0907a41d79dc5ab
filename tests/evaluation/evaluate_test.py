import functools
import json

import keras
import numpy as np
import pytest
from PIL import Image

import keras_drift as kd
import user_line
from keras_drift import evaluation
from keras_drift.evaluation import feature_extractor
from keras_drift.evaluation import sample_blocks

NUM_SAMPLES = 300  # more than a block


def evaluate(model, reference, num_samples=NUM_SAMPLES, **options):
    options = {"verbose": 0, **options}
    return evaluation.evaluate(model, reference, num_samples, **options)


def features_by_hand(network_file, images):
    """Features and logits of bytes, in float64 outside of this library."""
    network = keras.saving.load_model(network_file)
    outputs = network.predict(
        images.astype("float64") / 127.5 - 1, batch_size=len(images), verbose=0
    )
    return [outputs[k].astype("float64") for k in ("features", "logits")]


def frechet_by_hand(x, y):
    """With the square root of a symmetric matrix."""

    def root(matrix):
        values, vectors = np.linalg.eigh(matrix)
        return vectors @ np.diag(np.sqrt(np.maximum(values, 0))) @ vectors.T

    mean = x.mean(0) - y.mean(0)
    (a, b) = (
        (z - z.mean(0)).T @ (z - z.mean(0)) / (len(z) - 1) for z in (x, y)
    )
    cross = root(root(a) @ b @ root(a))
    return mean @ mean + np.trace(a) + np.trace(b) - 2 * np.trace(cross)


def inception_score_by_hand(logits):
    """The scores of 10 splits, in the random order of torch-fidelity."""
    logits = logits[np.random.RandomState(2020).permutation(len(logits))]
    scores = []
    for split in range(10):
        n = len(logits)
        part = logits[split * n // 10 : (split + 1) * n // 10]
        p = np.exp(part - part.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        kl = (p * np.log(p / p.mean(0))).sum(1)
        scores.append(np.exp(kl.mean()))
    return np.mean(scores), np.std(scores)


def kernel_distance_by_hand(x, y, subset=80):
    """Means over 100 random subsets, as torch-fidelity draws them."""
    rng = np.random.RandomState(2020)
    found = []
    for _ in range(100):
        a = x[rng.choice(len(x), subset, replace=False)]
        b = y[rng.choice(len(y), subset, replace=False)]

        def kernel(u, v):
            return (u @ v.T / u.shape[1] + 1) ** 3

        inside = [
            kernel(u, u)[~np.eye(subset, dtype=bool)].mean() for u in (a, b)
        ]
        found.append(sum(inside) - 2 * kernel(a, b).mean())
    return np.mean(found), np.std(found)


def share_in_balls(x, centers, k=3):
    """Share of `x` in a ball around a center up to its k-th neighbor."""
    radii = [np.sort(np.linalg.norm(centers - c, axis=1))[k] for c in centers]
    inside = [
        any(
            np.linalg.norm(point - center) <= radius
            for center, radius in zip(centers, radii, strict=True)
        )
        for point in x
    ]
    return np.mean(inside)


@pytest.fixture(scope="module")
def generated(model):
    """What is evaluated, drawn as a user would, and rounded by hand."""
    parts = []
    for block, size in ((0, 256), (1, NUM_SAMPLES - 256)):
        seed = np.random.SeedSequence([3, block]).generate_state(1)[0]
        labels = (np.arange(size) + 256 * block) % 4
        parts.append(
            model.generate(labels=labels, guidance=1.5, seed=int(seed))
        )
    images = np.concatenate(parts).astype("float64")
    return np.clip(np.floor(127.5 * images + 128), 0, 255).astype("uint8")


def test_metrics_are_those_computed_by_hand(
    model, network_file, data, generated
):
    found = evaluate(model, data, guidance=1.5, seed=3, features=network_file)
    x, logits = features_by_hand(network_file, generated)
    y, _ = features_by_hand(network_file, data)
    score, score_std = inception_score_by_hand(logits)
    kid, kid_std = kernel_distance_by_hand(x, y)
    expected = {
        "fid": frechet_by_hand(x, y),
        "inception_score": score,
        "inception_score_std": score_std,
        "kid": kid,
        "kid_std": kid_std,
        "precision": share_in_balls(x, y),
        "recall": share_in_balls(y, x),
        "guidance": 1.5,
        "num_samples": NUM_SAMPLES,
        "num_reference": len(data),
    }
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert 0 < found["recall"] < 1  # a case that tells something
    assert 0 < found["precision"] < 1


def test_images_of_the_data_itself_have_no_distance(model, network_file):
    samples = sample_blocks.SampleBlocks(
        model, 40, 1.0, None, 0, 16, "nearest"
    ).block(0)
    found = evaluate(model, samples, 40, features=network_file)
    assert found["fid"] == pytest.approx(0, abs=1e-6)
    assert found["kid"] <= 0  # unbiased, so below zero for the same images
    assert found["precision"] == found["recall"] == 1


def test_batches_of_any_size_give_the_same_metrics(model, network_file, data):
    found = [
        evaluate(model, data, 40, features=network_file, batch_size=size)
        for size in (7, 40)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-4, abs=1e-6)


def test_the_seed_and_the_scale_change_the_samples(model, network_file, data):
    fids = [
        evaluate(model, data, 40, features=network_file, **options)["fid"]
        for options in ({}, {"seed": 1}, {"guidance": 2.0})
    ]
    assert len(set(np.round(fids, 4))) == 3


def test_a_run_that_was_interrupted_goes_on(
    model, network_file, data, tmp_path, monkeypatch
):
    monkeypatch.setattr("keras_drift.evaluation.feature_shards._BLOCKS", 1)
    options = {"features": network_file, "directory": tmp_path / "run"}
    whole = evaluate(model, data, 600, features=network_file)
    block = sample_blocks.SampleBlocks.block
    drawn = []

    def interrupted(self, number):
        if number == 2:
            raise KeyboardInterrupt
        return recorded(self, number)

    def recorded(self, number):
        drawn.append(number)
        return block(self, number)

    monkeypatch.setattr(sample_blocks.SampleBlocks, "block", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, data, 600, **options)
    assert not (tmp_path / "run/metrics.json").exists()
    monkeypatch.setattr(sample_blocks.SampleBlocks, "block", recorded)
    assert evaluate(model, data, 600, **options) == whole
    assert drawn == [0, 1, 2]
    report = json.loads((tmp_path / "run/metrics.json").read_text())
    assert report["fid"] == whole["fid"]
    # Done: nothing is generated again, nor for fewer samples.
    assert evaluate(model, data, 600, **options) == whole
    few = evaluate(model, data, 300, **options)
    assert few == evaluate(model, data, 300, features=network_file)
    assert drawn == [0, 1, 2, 0, 1]  # the last two without the folder
    # More samples continue the run: the block that was not full, and on.
    more = evaluate(model, data, 800, **options)
    assert drawn == [0, 1, 2, 0, 1, 2, 3]
    assert more == evaluate(model, data, 800, features=network_file)


def other_weights(model):
    weight = model.generator.weights[0]
    weight.assign(keras.ops.convert_to_tensor(weight) + 0.1)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("seed", {"seed": 1}),
        ("guidance", {"guidance": 2.0}),
        ("rounding", {"rounding": "floor"}),
        ("labels", {"labels": np.zeros(40, int)}),
        ("features", {"features": lambda images: images[:, 0, 0] / 255.0}),
        ("model", {}),
    ],
)
def test_a_run_with_other_arguments_is_refused_by_name(
    model, network_file, data, tmp_path, name, options
):
    run = functools.partial(
        evaluate, model, data, 40, directory=tmp_path / "run"
    )
    run(features=network_file)
    weights = model.generator.get_weights()
    if name == "model":
        other_weights(model)
    try:
        with pytest.raises(ValueError, match=f"another `{name}`.*{name}="):
            run(**{"features": network_file, **options})
    finally:
        model.generator.set_weights(weights)


def test_a_damaged_file_of_features_is_made_again(
    model, network_file, data, tmp_path
):
    options = {"features": network_file, "directory": tmp_path / "run"}
    whole = evaluate(model, data, 40, **options)
    path = tmp_path / "run/features_00000.npz"
    path.write_bytes(path.read_bytes()[:-50])
    with user_line.warns("features_00000.npz' is damaged"):
        assert evaluate(model, data, 40, **options) == whole


def test_a_folder_is_as_good_as_an_array(model, network_file, data, tmp_path):
    for i, pixels in enumerate(data):
        folder = tmp_path / f"data/class_{i % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    options = {"num_samples": 40, "features": network_file}
    found = evaluate(model, tmp_path / "data", **options)
    # The order of images is another one, so KID draws other subsets.
    expected = evaluate(model, data, **options)
    for name in ("fid", "precision", "recall", "inception_score"):
        assert found[name] == pytest.approx(expected[name], rel=1e-4), name


def test_statistics_alone_give_the_fid(model, network_file, data, tmp_path):
    features, _ = features_by_hand(network_file, data)
    path = tmp_path / "statistics.npz"
    np.savez(path, mu=features.mean(0), sigma=np.cov(features, rowvar=False))
    found = evaluate(model, path, 40, features=network_file)
    expected = evaluate(model, data, 40, features=network_file)
    assert found["fid"] == pytest.approx(expected["fid"], rel=1e-4)
    assert found["num_reference"] is None
    assert "kid" not in found
    assert "recall" not in found
    with pytest.raises(ValueError, match=r"'kid' compares.*Pass the images"):
        evaluate(model, path, 40, features=network_file, metrics=["kid"])


def test_gray_images_are_evaluated(data):
    model = kd.DriftModel.from_preset("digits_dit")
    images, _ = kd.datasets.digits("test")
    found = evaluate(
        model,
        images,
        60,
        features=lambda batch: (
            batch[:, ::4, ::4, 0].reshape(len(batch), -1) / 255.0
        ),
    )
    assert found["num_reference"] == len(images)
    assert found["fid"] < 1
    assert "inception_score" not in found


def never(*args, **kwargs):
    raise AssertionError("an image was generated")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_samples": 5}, ValueError, "at least 10 samples"),
        ({"num_samples": 3, "metrics": ["precision_recall"]}, ValueError, "4"),
        ({"num_samples": 0}, ValueError, "num_samples=0"),
        ({"guidance": 9.0}, ValueError, "from 1.0 to 4.0.*guidance=9.0"),
        ({"guidance": [1.0, 2.0]}, TypeError, "one number.*guidance="),
        ({"labels": [0, 1]}, ValueError, "class of each sample"),
        ({"labels": [9] * 40}, ValueError, "from 0 to 3"),
        ({"rounding": "up"}, ValueError, "rounding='up'"),
        ({"metrics": ["fld"]}, ValueError, "Did you mean 'fid'"),
        ({"metrics": "fid"}, TypeError, "sequence of names"),
        ({"features": 3}, TypeError, "features=3"),
        ({"features": "no.keras"}, ValueError, "no such file.*no.keras"),
        ({"feature_name": "deep"}, ValueError, "feature_name='deep'"),
        ({"inception_weights": "x"}, ValueError, "inception_weights='x'"),
        ({"reference": None}, TypeError, "reference=None"),
        ({"reference": "nowhere.npz"}, FileNotFoundError, "nowhere.npz"),
        ({"reference": np.zeros((9, 5, 6, 3))}, ValueError, r"\(9, 5, 6, 3\)"),
        ({"reference": np.zeros((0, 6, 6, 3))}, ValueError, "0 reference"),
        ({"model": 3}, TypeError, "model=3"),
        ({"verbose": "yes"}, TypeError, "verbose='yes'"),
    ],
)
def test_bad_arguments_are_named_before_anything_is_generated(
    model, network_file, data, monkeypatch, options, error, message
):
    monkeypatch.setattr(type(model), "generate", never)
    arguments = {
        "model": model,
        "reference": data,
        "num_samples": 40,
        "features": network_file,
        **options,
    }
    with pytest.raises(error, match=message):
        evaluate(**arguments)


def test_a_covariance_of_few_samples_is_warned_of(model, network_file, data):
    options = {"features": network_file, "metrics": ["fid"]}
    with user_line.warns("8 features from 8 samples"):
        evaluate(model, data, 8, **options)
    with user_line.warns("8 features from 7 reference"):
        evaluate(model, data[:7], 40, **options)


def test_latents_without_an_autoencoder_are_refused(network_file, data):
    latents = kd.generators.DiT(image_shape=(4, 4, 4), hidden_dim=8, depth=1)
    with pytest.raises(ValueError, match=r"`autoencoder`.*\(4, 4, 4\)"):
        evaluate(kd.DriftModel(latents), data, features=network_file)


def test_few_images_beside_statistics_are_refused(
    model, network_file, data, tmp_path
):
    path = tmp_path / "adm.npz"
    np.savez(path, arr_0=data[:3], mu=np.zeros(8), sigma=np.eye(8))
    with pytest.raises(ValueError, match=r"'precision_recall'.*of 3 images"):
        evaluate(model, path, features=network_file)


def test_one_batch_of_images_is_shown_to_the_network(model, data):
    sizes = []

    def function(images):
        sizes.append(len(images))
        return images[:, 0, 0] / 255.0

    evaluate(model, data, 300, features=function, batch_size=32)
    assert max(sizes) == 32
    # The probe, the reference and the samples, each image once.
    assert sum(sizes) == 4 + len(data) + 300


def test_progress_is_shown(model, network_file, data, capsys):
    evaluate(model, data, 300, features=network_file, verbose=1)
    shown = capsys.readouterr().out
    assert "300/300" in shown
    assert "/sample" in shown
    evaluate(model, data, 300, features=network_file, verbose=0)
    assert capsys.readouterr().out == ""


def test_says_what_to_download(model, data, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError) as info:
        evaluate(model, data)
    message = str(info.value)
    assert "https://github.com/toshas/torch-fidelity/releases" in message
    assert str(tmp_path / "cache/evaluation/weights-inception-2015") in message


def test_inception_is_found_where_the_message_says(model, data, monkeypatch):
    monkeypatch.setattr(
        feature_extractor, "Inception", lambda weights: StubInception()
    )
    found = evaluate(model, data, 40)
    assert {"fid", "kid", "precision", "inception_score"} <= set(found)


class StubInception:
    """The outputs of `Inception`, of a few pixels."""

    fingerprint = "inception-stub"

    def __call__(self, images):
        flat = images.reshape(len(images), -1) / 255.0
        return flat[:, :6], flat[:, 6:9]
