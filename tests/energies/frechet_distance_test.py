import keras
import numpy as np
import pytest

import contracts
from keras_drift import drifts
from keras_drift import energies

rng = np.random.default_rng(0)
MIX = rng.normal(size=(3, 3))
X, DATA = rng.normal(size=(9, 3)), rng.normal(size=(12, 3)) @ MIX + 0.5
WEIGHTS = rng.uniform(0.5, 2, 12)


def moments(points, weights=None):
    mean = np.average(points, axis=0, weights=weights)
    return mean, np.cov(points.T, aweights=weights, ddof=0)


def root_of(matrix):
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T


def energy_by_hand(x, data=DATA, weights=WEIGHTS):
    (mean_x, cov_x), (mean_y, cov_y) = moments(x), moments(data, weights)
    root = root_of(cov_y)
    overlap = root_of(root @ cov_x @ root)
    spread = np.trace(cov_x + cov_y - 2 * overlap)
    return (np.sum((mean_x - mean_y) ** 2) + spread) / 2


def velocity_by_hand(x, data=DATA, weights=WEIGHTS):
    """The optimal map between the Gaussians, minus where the samples are."""
    (mean_x, cov_x), (mean_y, cov_y) = moments(x), moments(data, weights)
    root = root_of(cov_x)
    inverse = np.linalg.inv(root)
    stretch = inverse @ root_of(root @ cov_y @ root) @ inverse
    return mean_y - mean_x + (x - mean_x) @ (stretch - np.eye(3)).T


@pytest.fixture(scope="module")
def both():
    energy = energies.FrechetDistance()
    drift = drifts.VariationalDrift(energy)

    @contracts.in_one_program
    def function(x, data, weights):
        return (
            energy(x, data, weights),
            drift(x, data, positive_weights=weights),
        )

    return lambda *args: [contracts.numpy(v) for v in function(*args)]


def test_matches_the_definition(both):
    value, velocity = both(X, DATA, WEIGHTS)
    np.testing.assert_allclose(value, energy_by_hand(X), rtol=1e-4)
    np.testing.assert_allclose(velocity, velocity_by_hand(X), atol=1e-4)


def test_velocity_is_the_slope(both):
    _, velocity = both(X, DATA, WEIGHTS)
    slope = np.zeros_like(X)
    for at in np.ndindex(*X.shape):
        step = np.zeros_like(X)
        step[at] = 1e-5
        slope[at] = energy_by_hand(X + step) - energy_by_hand(X - step)
    np.testing.assert_allclose(velocity, -9 * slope / 2e-5, atol=1e-4)


def test_one_full_step_closes_the_distance(both):
    value, velocity = both(X, DATA, WEIGHTS)
    assert value > 0.1
    closed, _ = both(X + velocity, DATA, WEIGHTS)
    np.testing.assert_allclose(closed, 0, atol=1e-5)


@pytest.mark.parametrize("flat", ["samples", "data", "both"])
def test_flat_sets_move_within_reason(both, flat):
    x, data = X.copy(), DATA.copy()
    if flat != "data":
        x[:, 1:] = 0.25
    if flat != "samples":
        data[:, :2] = 1.0
    value, velocity = both(x, data, WEIGHTS)
    expected = energy_by_hand(x, data)
    np.testing.assert_allclose(value, expected, rtol=1e-3, atol=1e-4)
    assert np.all(np.abs(velocity) < 20)
    # Down, if not to the bottom: what is flat cannot be stretched.
    lower, _ = both(x + 0.1 * velocity, data, WEIGHTS)
    assert lower < value


def test_fewer_samples_than_dimensions():
    energy = energies.FrechetDistance()
    x, data = rng.normal(size=(2, 4, 6)), 2 * rng.normal(size=(2, 5, 6))
    drift = contracts.in_one_program(drifts.VariationalDrift(energy))
    velocity = contracts.numpy(drift(x, data))
    assert np.all(np.isfinite(velocity))
    energy = contracts.in_one_program(energy)
    values = [
        contracts.numpy(energy(x + step * velocity, data))
        for step in (0, 0.5, 1)
    ]
    assert np.all(np.diff(values, axis=0) < 0)


def test_a_lone_sample_moves_to_the_mean():
    drift = drifts.VariationalDrift(energies.FrechetDistance())
    velocity = contracts.in_one_program(drift)(X[:1], DATA)
    expected = DATA.mean(axis=0) - X[:1]
    np.testing.assert_allclose(contracts.numpy(velocity), expected, atol=1e-5)


def test_compares_features():
    keras.utils.set_random_seed(0)
    encoder = keras.Sequential([keras.Input((3,))])
    encoder.add(keras.layers.Dense(2, activation="tanh"))
    encoder.add(keras.layers.Reshape((1, 2)))
    energy = energies.FrechetDistance(encoder)
    assert not energy.trainable_variables
    kernel, bias = map(contracts.numpy, encoder.weights)
    features = [np.tanh(v @ kernel + bias) for v in (X, DATA)]
    found = float(contracts.in_one_program(energy)(X, DATA, WEIGHTS))
    expected = energy_by_hand(*features)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    drift = contracts.in_one_program(drifts.VariationalDrift(energy))
    moved = X + 0.1 * contracts.numpy(drift(X, DATA, positive_weights=WEIGHTS))
    after = float(contracts.in_one_program(energy)(moved, DATA, WEIGHTS))
    assert after < found
    copy = contracts.copy_of(energy)
    assert [type(layer) for layer in copy.encoder.layers] == [
        type(layer) for layer in encoder.layers
    ]


def test_an_encoder_is_a_layer():
    with pytest.raises(TypeError, match=r"`encoder` is a Keras model"):
        energies.FrechetDistance(lambda x: x)
