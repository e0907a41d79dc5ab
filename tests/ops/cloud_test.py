import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift.ops import Cloud
from keras_drift.ops import join

NOTHING = float("-inf")


def points(*size):
    return ops.convert_to_tensor(
        np.random.default_rng(0).normal(size=size), "float32"
    )


def log_weights(cloud, num_samples):
    shape = (cloud.points.shape[0], num_samples, cloud.points.shape[1])
    logs = ops.broadcast_to(cloud.log_weights(num_samples), shape)
    return contracts.numpy(logs)


def test_every_pair_counts_once_by_default():
    np.testing.assert_array_equal(log_weights(Cloud(points(2, 3, 1)), 4), 0)


def test_weights_count_for_every_sample():
    weights = ops.convert_to_tensor([[1.0, 0.0, 4.0]])
    logs = log_weights(Cloud(points(1, 3, 1), weights), 2)
    expected = [[0, NOTHING, np.log(4)]] * 2
    np.testing.assert_allclose(logs[0], expected, rtol=1e-6)


def test_a_sample_does_not_meet_itself():
    logs = log_weights(Cloud(points(1, 3, 1), None, True), 2)
    np.testing.assert_array_equal(logs[0], [[NOTHING, 0, 0], [0, NOTHING, 0]])


def test_self_pairs_are_absent_whatever_their_weight():
    weights = ops.convert_to_tensor([[5.0, 0.0, 1.0]])
    logs = log_weights(Cloud(points(1, 3, 1), weights, True), 2)
    np.testing.assert_allclose(
        logs[0],
        [[NOTHING, NOTHING, 0], [np.log(5), NOTHING, 0]],
        rtol=1e-6,
    )


def test_the_log_of_a_zero_weight_has_a_finite_gradient():
    cloud_points = points(1, 3, 1)

    def total_mass(weights):
        logs = Cloud(cloud_points, weights).log_weights(2)
        return ops.sum(ops.exp(logs))

    found = contracts.gradient(total_mass, np.array([[1.0, 0.0, 4.0]]))
    np.testing.assert_allclose(found, [[1, 0, 1]], atol=1e-6)


def test_join_puts_the_first_ahead():
    first, second = Cloud(points(2, 3, 4)), Cloud(points(2, 2, 4))
    joined = join(first, second)
    assert joined.weights is None
    assert not joined.contains_samples
    np.testing.assert_array_equal(
        contracts.numpy(joined.points),
        np.concatenate(
            [contracts.numpy(first.points), contracts.numpy(second.points)], 1
        ),
    )


def test_join_keeps_the_samples():
    assert join(Cloud(points(1, 3, 2), None, True), None).contains_samples
    both = join(Cloud(points(1, 3, 2), None, True), Cloud(points(1, 2, 2)))
    assert both.contains_samples


@pytest.mark.parametrize("weighted", ["first", "second", "both"])
def test_join_fills_missing_weights_with_ones(weighted):
    two, three = ops.full((1, 2), 2.0), ops.full((1, 3), 3.0)
    first = Cloud(points(1, 2, 4), None if weighted == "second" else two)
    second = Cloud(points(1, 3, 4), None if weighted == "first" else three)
    expected = {
        "first": [[2, 2, 1, 1, 1]],
        "second": [[1, 1, 3, 3, 3]],
        "both": [[2, 2, 3, 3, 3]],
    }
    np.testing.assert_array_equal(
        contracts.numpy(join(first, second).weights), expected[weighted]
    )
