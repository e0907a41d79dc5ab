import itertools

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from keras import ops
from scipy import linalg

import contracts
from keras_drift import backend
from keras_drift import metrics


def distance(x, y):
    return float(metrics.frechet_distance(x, y))


def by_scipy(x, y):
    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root_x = linalg.sqrtm(cov_x)
    root = linalg.sqrtm(root_x @ cov_y @ root_x)
    shift = np.sum((x.mean(0) - y.mean(0)) ** 2)
    return shift + np.trace(cov_x + cov_y - 2 * np.real(root))


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(4, 4))
    return rng.normal(size=(60, 4)), rng.normal(size=(40, 4)) @ mix + 1


def test_matches_scipy(clouds):
    assert distance(*clouds) == pytest.approx(by_scipy(*clouds), rel=1e-4)


def test_of_commuting_gaussians_is_its_closed_form():
    wide, narrow = np.diag([9.0, 4.0]), np.diag([1.0, 16.0])
    value = metrics.frechet_distance_from_moments(
        np.zeros(2), wide, np.array([3.0, 4.0]), narrow
    )
    assert float(value) == pytest.approx(25 + (3 - 1) ** 2 + (2 - 4) ** 2)


def test_functions_agree(clouds):
    moments = [
        moment for x in clouds for moment in (x.mean(0), np.cov(x, rowvar=0))
    ]
    value = float(metrics.frechet_distance_from_moments(*moments))
    assert value == pytest.approx(distance(*clouds), rel=1e-4)


def test_fewer_samples_than_features_cost_no_accuracy():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 10, 64))
    # Singular covariances: in float64, by the singular values of the data.
    u, v = ((z - z.mean(0)) / 3 for z in (x, y))
    overlap = np.linalg.svd(u @ v.T, compute_uv=False).sum()
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2)
    expected += np.sum(u**2) + np.sum(v**2) - 2 * overlap
    assert distance(x, y) == pytest.approx(expected, rel=1e-4)


def test_is_symmetric(clouds):
    x, y = clouds
    assert distance(x, y) == pytest.approx(distance(y, x), rel=1e-4)


def test_is_zero_on_one_set(clouds):
    x, _ = clouds
    assert distance(x, x) == pytest.approx(0, abs=1e-5)


def test_a_lone_sample_has_no_covariance():
    assert distance([[0.0, 0.0]], [[3.0, 4.0]]) == pytest.approx(25)


def test_batches_gather_the_moments_of_all_samples():
    rng = np.random.default_rng(0)
    # Far from zero, and of changing mean.
    real = 300 + rng.normal(size=(60, 3)) + np.linspace(0, 5, 60)[:, None]
    generated = 301 + 2 * rng.normal(size=(30, 3))
    metric = metrics.FrechetDistance()
    for start, end in ((0, 8), (8, 36), (36, 60)):
        metric.update_state(real[start:end], generated[start // 2 : end // 2])
    logs = metric.result()
    expected = by_scipy(generated, real[0::2])
    floor = by_scipy(real[1::2], real[0::2])
    assert float(logs["frechet_distance"]) == pytest.approx(expected, rel=1e-3)
    assert float(logs["frechet_distance_floor"]) == pytest.approx(
        floor, rel=1e-2
    )


@settings(deadline=None, max_examples=10, database=None)
@given(st.sets(st.sampled_from([2, 22])))
def test_does_not_depend_on_how_batches_are_cut(cuts):
    rng = np.random.default_rng(0)
    real, generated = rng.normal(size=(2, 24, 2))
    whole = metrics.FrechetDistance()(real, generated)
    metric = metrics.FrechetDistance()
    edges = [0, *sorted(cuts), 24]
    for start, end in itertools.pairwise(edges):
        metric.update_state(real[start:end], generated[start:end])
    for name, value in metric.result().items():
        assert float(value) == pytest.approx(float(whole[name]), rel=1e-3)


def conv_encoder():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 3, strides=2)]
    )


def test_compares_in_the_features_of_an_encoder():
    encoder = conv_encoder()
    rng = np.random.default_rng(0)
    real = rng.normal(size=(12, 4, 4, 1)).astype("float32")
    generated = rng.normal(size=(6, 4, 4, 1)).astype("float32") + 1
    metric = metrics.FrechetDistance(encoder)
    value = float(metric(real, generated)["frechet_distance"])
    features = encoder.predict(
        np.concatenate([generated, real[0::2]]), verbose=0
    )
    expected = distance(features[:6], features[6:])
    assert value == pytest.approx(expected, rel=1e-3)


def test_encoder_serves_a_compiled_fit():
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Dense(1)])
    metric = metrics.FrechetDistance(conv_encoder())
    model.compile("sgd", "mse", metrics=[metric])
    x = np.random.default_rng(0).normal(size=(32, 4, 4, 1)).astype("float32")
    model.fit(x, x, batch_size=16, verbose=0)
    logs = model.evaluate(x, x, batch_size=16, verbose=0, return_dict=True)
    features = metric.encoder.predict(x, verbose=0)
    expected = distance(features[1::2], features[0::2])
    assert logs["frechet_distance_floor"] == pytest.approx(expected, rel=1e-3)


def test_config_holds_the_encoder():
    metric = metrics.FrechetDistance(conv_encoder(), name="fid")
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(metric)
    )
    assert again.name == "fid"
    assert again.encoder.output_shape == metric.encoder.output_shape


def test_an_encoder_shared_with_the_model_works_or_says_why_not():
    encoder = conv_encoder()
    inputs = keras.Input((4, 4, 1))
    gain = keras.layers.Dense(1)(keras.layers.Flatten()(encoder(inputs)))
    model = keras.Model(inputs, inputs * gain[..., None, None])
    model.compile("sgd", "mse", metrics=[metrics.FrechetDistance(encoder)])
    x = np.random.default_rng(0).normal(size=(8, 4, 4, 1)).astype("float32")
    if keras.backend.backend() == "jax":
        with pytest.raises(ValueError, match="an encoder of its own"):
            model.fit(x, x, verbose=0)
    else:
        history = model.fit(x, x, verbose=0).history
        assert np.isfinite(history["frechet_distance"][0])


def test_refuses_what_is_no_encoder():
    with pytest.raises(TypeError, match="encoder='inception'"):
        metrics.FrechetDistance("inception")
    metric = metrics.FrechetDistance(lambda x: {"features": x})
    with pytest.raises(TypeError, match=r"one tensor of features.*dict"):
        metric.update_state(np.ones((4, 2)), np.ones((2, 2)))


def test_refuses_features_of_another_length():
    metric = metrics.FrechetDistance()
    metric.update_state(np.ones((4, 2)), np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"2 features.*Received: 3"):
        metric.update_state(np.ones((4, 3)), np.ones((2, 3)))


def test_names_the_moments_that_do_not_match():
    with pytest.raises(ValueError, match=r"cov_y\.shape=\(3, 3\)"):
        metrics.frechet_distance_from_moments(
            np.zeros(2), np.eye(2), np.zeros(2), np.eye(3)
        )


def test_refuses_a_covariance_that_is_not_symmetric():
    """Of this one the distance to itself transposed was zero."""
    mean, skewed = np.zeros(2), np.array([[1.0, 0.9], [0.0, 1.0]])
    for name, pair in (
        ("cov_x", (skewed, np.eye(2))),
        ("cov_y", (np.eye(2), skewed.tolist())),
    ):
        with pytest.raises(ValueError, match=f"`{name}` must be.*up to 0.9"):
            metrics.frechet_distance_from_moments(mean, pair[0], mean, pair[1])
    rounded = np.cov(np.random.default_rng(0).normal(size=(9, 3)), rowvar=False)
    rounded[0, 1] *= 1 + 1e-3
    found = metrics.frechet_distance_from_moments(
        np.zeros(3), rounded, np.zeros(3), rounded
    )
    assert float(found) == pytest.approx(0, abs=1e-3)
    infinite = np.full((2, 2), np.inf)
    found = metrics.frechet_distance_from_moments(
        mean, infinite, mean, infinite
    )
    assert np.isnan(float(found))


def test_half_precision_gives_float32(clouds):
    x, y = (ops.cast(cloud, "float16") for cloud in clouds)
    value = metrics.frechet_distance(x, y)
    assert ops.dtype(value) == "float32"
    assert float(value) == pytest.approx(distance(*clouds), rel=1e-2)


def gradients(x, y):
    """Of the distance with respect to both sets."""
    program = contracts.in_one_program(
        lambda x, y: [
            backend.gradient(lambda x: metrics.frechet_distance(x, y), x),
            backend.gradient(lambda y: metrics.frechet_distance(x, y), y),
        ]
    )
    x, y = (ops.convert_to_tensor(v, "float32") for v in (x, y))
    return [contracts.numpy(each) for each in program(x, y)]


def test_gradient_is_the_slope(clouds):
    x, y = (cloud[:9] for cloud in clouds)
    found = gradients(x, y)
    for which, slope in enumerate(found):
        for at in [(0, 0), (3, 2), (8, 3)]:
            values = []
            for step in (1e-4, -1e-4):
                moved = [x.copy(), y.copy()]
                moved[which][at] += step
                values.append(by_scipy(*moved))
            expected = (values[0] - values[1]) / 2e-4
            assert slope[at] == pytest.approx(expected, rel=1e-3, abs=2e-4)


@pytest.mark.parametrize("case", ["one point", "one set", "flat", "few"])
def test_gradient_is_finite_where_covariances_are_singular(case):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 6, 4))
    if case == "one point":
        x, y = np.ones((2, 6, 4))
    elif case == "one set":
        y = x
    elif case == "flat":
        x[:, 1:] = 0.0
    else:
        x, y = x[:2], y[:3]
    for slope in gradients(x, y):
        assert np.all(np.isfinite(slope))
        if case in ("one point", "one set"):
            np.testing.assert_allclose(slope, 0, atol=1e-5)
        else:
            assert 1e-3 < np.abs(slope).max() < 10


def test_products_keep_full_precision(clouds, monkeypatch):
    """What a GPU or TPU would round to bfloat16 is multiplied by `backend`."""

    def rough(x, y):
        raise AssertionError("a product of reduced precision")

    expected = by_scipy(*clouds)
    monkeypatch.setattr(ops, "matmul", rough)
    assert distance(*clouds) == pytest.approx(expected, rel=1e-4)
