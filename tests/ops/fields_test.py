import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift.ops import Cloud
from keras_drift.ops import dual_field
from keras_drift.ops import mean_distance
from keras_drift.ops import released_mean_distance
from keras_drift.ops import row_field

# The velocities themselves are compared with the papers in `tests/drifts`.


def draw(*size, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=size).astype("float32")


@pytest.fixture
def clouds():
    x, positives = draw(2, 5, 3), draw(2, 7, 3, seed=1)
    weights = np.array(
        [[1, 2, 0, 0.5, 1, 1, 0], [3, 1, 1, 0, 0, 2, 2]], "float32"
    )
    return x, Cloud(ops.convert_to_tensor(positives), weights)


@pytest.mark.parametrize("contains_samples", [True, False])
def test_mean_distance_is_a_weighted_mean_over_pairs(clouds, contains_samples):
    x, positives = clouds
    negatives = Cloud(ops.convert_to_tensor(x), None, contains_samples)
    total = mass = 0.0
    for group in range(2):
        for i, sample in enumerate(x[group]):
            for j, point in enumerate(contracts.numpy(positives.points)[group]):
                weight = positives.weights[group, j]
                total += weight * np.linalg.norm(sample - point)
                mass += weight
            for j, point in enumerate(x[group]):
                if contains_samples and i == j:
                    continue
                total += np.linalg.norm(sample - point)
                mass += 1
    found = float(mean_distance(ops.convert_to_tensor(x), positives, negatives))
    assert found == pytest.approx(total / mass, rel=1e-5)


def test_released_mean_distance_weighs_all_pairs(clouds):
    x, positives = clouds
    points = contracts.numpy(positives.points)
    negatives = Cloud(ops.convert_to_tensor(x), None, True)
    distances = [
        np.concatenate(
            [
                np.linalg.norm(x[group][i] - x[group], axis=-1),
                positives.weights[group]
                * np.linalg.norm(x[group][i] - points[group], axis=-1),
            ]
        )
        for group in range(2)
        for i in range(5)
    ]
    weights = np.concatenate([np.ones((2, 5)), positives.weights], axis=1)
    found = released_mean_distance(
        ops.convert_to_tensor(x), positives, negatives
    )
    expected = np.mean(distances) / np.mean(weights)
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_mean_distance_of_no_pairs_is_zero():
    x = ops.convert_to_tensor(draw(1, 1, 2))
    assert float(mean_distance(x, Cloud(x, None, True))) == 0


def log_similarity(distance):
    bandwidths = np.array([0.5, 1.0, 2.0], "float32")[:, None, None, None]
    return -distance[None] / bandwidths


@pytest.mark.parametrize("field", [row_field, dual_field])
def test_fields_stack_the_bandwidths(clouds, field):
    x, positives = clouds
    x = ops.convert_to_tensor(x)
    stacked = contracts.numpy(
        contracts.in_one_program(
            lambda x: field(log_similarity, x, positives, Cloud(x, None, True))
        )(x)
    )
    assert stacked.shape == (3, 2, 5, 3)
    assert np.all(np.isfinite(stacked))


def test_a_mean_over_nothing_exerts_no_force(clouds):
    x, positives = clouds
    x = ops.convert_to_tensor(x)
    nobody = Cloud(x, ops.zeros((2, 5)))
    row = row_field(log_similarity, x, nobody, nobody)
    np.testing.assert_array_equal(contracts.numpy(row), 0)
    dual = dual_field(log_similarity, x, positives, nobody)
    np.testing.assert_array_equal(contracts.numpy(dual), 0)
