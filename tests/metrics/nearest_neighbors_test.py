import keras
import numpy as np
import pytest
from keras import ops
from scipy.spatial import distance as scipy_distance

from keras_drift import metrics
from keras_drift import spectral

RNG = np.random.default_rng(0)
SAMPLES = RNG.normal(size=(40, 2, 3)).astype("float32")
DATA = (1.2 * RNG.normal(size=(60, 2, 3)) + 0.3).astype("float32")


def distances(x, y):
    x, y = (v.reshape(len(v), -1).astype("float64") for v in (x, y))
    return scipy_distance.cdist(x, y)


def radii(data, k):
    # The first neighbor is the point itself.
    return np.sort(distances(data, data), axis=1)[:, k]


@pytest.mark.parametrize("quantile", [None, 0.95, 0.0, 1])
def test_precision_and_recall(quantile):
    between = distances(SAMPLES, DATA)
    for function, axis in (
        (metrics.nearest_neighbor_precision, 1),
        (metrics.nearest_neighbor_recall, 0),
    ):
        nearest = between.min(axis=axis)
        expected = nearest.mean()
        if quantile is not None:
            expected = np.quantile(nearest, quantile)
        found = float(function(SAMPLES, DATA, quantile))
        assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("k", [1, 5])
def test_density_and_coverage(k):
    inside = distances(SAMPLES, DATA) <= radii(DATA, k)
    found = float(metrics.density(SAMPLES, DATA, k))
    assert found == pytest.approx(inside.sum() / (k * len(SAMPLES)), rel=1e-5)
    found = float(metrics.coverage(SAMPLES, DATA, k))
    assert found == pytest.approx(inside.any(axis=0).mean(), rel=1e-5)


def test_values_of_a_perfect_generator():
    x, y = np.random.default_rng(1).normal(size=(2, 1500, 2))
    assert float(metrics.density(x, y)) == pytest.approx(1, abs=0.08)
    # Each of the 2k nearest of a datum is as likely a sample as a datum.
    expected = 1 - 2**-3
    assert float(metrics.coverage(x, y, 3)) == pytest.approx(expected, abs=0.03)
    found = float(metrics.nearest_neighbor_accuracy(x, y))
    assert found == pytest.approx(0.5, abs=0.04)


def test_smears_lower_precision_alone_and_missing_modes_recall_alone():
    rng = np.random.default_rng(0)

    def modes(count, of):
        return np.eye(2)[rng.integers(of, size=count)] * 10

    def noise(count):
        return 0.1 * rng.normal(size=(count, 2))

    data = modes(400, 2) + noise(400)
    smears = modes(400, 2) + noise(400)
    smears[:40] *= rng.uniform(size=(40, 1))  # toward the origin
    one_mode = modes(400, 1) + noise(400)
    precision, recall = (
        metrics.nearest_neighbor_precision,
        metrics.nearest_neighbor_recall,
    )
    floor = float(metrics.floor(precision, modes(800, 2) + noise(800)))
    assert float(precision(smears, data)) > 10 * floor
    assert float(recall(smears, data)) < 2 * floor
    assert float(recall(one_mode, data)) > 100 * floor
    assert float(precision(one_mode, data)) < 2 * floor
    assert float(metrics.coverage(one_mode, data)) < 0.6
    assert float(metrics.density(smears, data)) < 0.97
    assert float(metrics.coverage(smears, data)) > 0.9


def test_accuracy_of_the_classifier():
    pooled = np.concatenate([SAMPLES, DATA])
    between = distances(pooled, pooled) + np.diag(np.full(100, np.inf))
    in_x = np.arange(100) < 40
    right = in_x == in_x[between.argmin(axis=1)]
    expected = (right[:40].mean() + right[40:].mean()) / 2
    found = float(metrics.nearest_neighbor_accuracy(SAMPLES, DATA))
    assert found == pytest.approx(expected, rel=1e-6)
    result = spectral.classifier_two_sample_test(SAMPLES, DATA, 50)
    assert result.statistic == pytest.approx(expected, rel=1e-6)
    assert len(result.null) == 50


def test_copies_of_the_data_are_told_by_an_accuracy_of_zero():
    copies = DATA + 1e-3
    assert float(metrics.nearest_neighbor_accuracy(copies, DATA)) == 0


def test_points_that_coincide_are_of_neither_set():
    points = np.array([[0.0], [0.0], [5.0], [5.0]])
    assert float(metrics.nearest_neighbor_accuracy(points, points)) == 0.5


def test_classifier_rejects_at_its_level():
    rng = np.random.default_rng(0)
    p_values = [
        spectral.classifier_two_sample_test(*x, 39, seed).p_value
        for seed, x in enumerate(rng.normal(size=(80, 2, 12, 2)))
    ]
    # Ties of the accuracy make it conservative.
    assert np.mean(np.array(p_values) <= 0.1) < 0.2
    x, y = rng.normal(size=(2, 60, 2))
    y *= 2.5
    assert spectral.classifier_two_sample_test(x, y).p_value < 0.01


@pytest.mark.parametrize("function", [metrics.density, metrics.coverage])
def test_needs_more_data_than_neighbors(function):
    with pytest.raises(ValueError, match="k=5, 5 data"):
        function(SAMPLES, DATA[:5])
    assert np.isfinite(float(function(SAMPLES, DATA[:6])))


@pytest.mark.parametrize("metric", [metrics.Density, metrics.Coverage])
def test_a_small_batch_of_unknown_size_has_no_neighborhoods(metric):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("sizes are always known")
    import tensorflow as tf

    measure = metric(k=5)
    shape = tf.TensorSpec((None, 3))
    update = tf.function(measure.update_state, input_signature=[shape, shape])
    update(tf.random.normal((8, 3)), tf.random.normal((8, 3)))
    assert np.isnan(float(measure.result()[measure.name]))


@pytest.mark.parametrize("quantile", [-0.1, 1.5])
def test_refuses_quantiles_out_of_range(quantile):
    with pytest.raises(ValueError, match="from 0 to 1"):
        metrics.NearestNeighborPrecision(quantile)
    with pytest.raises(ValueError, match="from 0 to 1"):
        metrics.nearest_neighbor_recall(SAMPLES, DATA, quantile)


def test_metrics_say_which_way_is_better():
    for name, direction in {
        "Density": "up",
        "Coverage": "up",
        "NearestNeighborPrecision": "down",
        "NearestNeighborAccuracy": "down",
    }.items():
        assert getattr(metrics, name)()._direction == direction


@pytest.mark.parametrize(
    "metric",
    [
        metrics.NearestNeighborPrecision,
        metrics.Coverage,
        metrics.EnergyDistance,
        metrics.SlicedWasserstein,
        metrics.MaximumMeanDiscrepancy,
    ],
)
def test_distances_in_the_features_of_an_encoder(metric):
    encoder = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4)])
    x, y = (v.reshape(len(v), -1) for v in (SAMPLES, DATA))
    found = metric(encoder=encoder)(y, x)
    encoded = metric()(encoder(y), encoder(x))
    for name, value in encoded.items():
        assert float(found[name]) == pytest.approx(float(value), rel=1e-5)
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(metric(encoder=encoder))
    )
    again.encoder.set_weights(encoder.get_weights())
    for name, value in again(y, x).items():
        assert float(found[name]) == pytest.approx(float(value), rel=1e-5)
    with pytest.raises(TypeError, match="callable"):
        metric(encoder=3)


def test_gradients_move_samples_to_their_neighbors():
    if keras.backend.backend() != "jax":
        pytest.skip("one backend shows the formula")
    import jax

    x, y = ops.array([[0.0, 1.0]]), ops.array([[0.0, 0.0], [9.0, 0.0]])
    found = jax.grad(lambda x: metrics.nearest_neighbor_precision(x, y))(x)
    np.testing.assert_allclose(found, [[0.0, 1.0]], atol=1e-6)


def test_errors_name_the_argument():
    for function in (
        metrics.nearest_neighbor_precision,
        metrics.nearest_neighbor_recall,
    ):
        with pytest.raises(ValueError, match=r"x\.shape=\(3,\)"):
            function(np.zeros(3), DATA)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    "function",
    [metrics.coverage, metrics.density, metrics.nearest_neighbor_accuracy],
)
def test_a_number_that_is_none_is_not_counted(function, value):
    x, y = np.random.default_rng(0).normal(size=(2, 20, 3)).astype("float32")
    assert np.isfinite(float(function(x, y)))
    for wrong in (x, y):
        kept, wrong[3, 1] = wrong[3, 1], value
        assert np.isnan(float(function(x, y)))
        wrong[3, 1] = kept
