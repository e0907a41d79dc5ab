import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift.ops import PointCloud
from keras_drift.ops import slice_directions
from keras_drift.ops import sliced_transport

rng = np.random.default_rng(0)
X, Y = (rng.normal(size=(2, n, 3)).astype("float32") for n in (5, 7))


def transport(x, y, weights=None):
    def function(x, y):
        w = None if weights is None else ops.array(weights, "float32")
        return sliced_transport(ops.array(x), PointCloud(ops.array(y), w), 4)

    return contracts.numpy(contracts.in_one_program(function)(x, y))


def test_directions_are_orthonormal_in_blocks():
    directions = slice_directions(7, 3, 0)
    assert directions.shape == (7, 3)
    for block in (directions[:3], directions[3:6]):
        np.testing.assert_allclose(block @ block.T, np.eye(3), atol=1e-6)
    assert slice_directions(7, 1, 0).tolist() == [[1.0]]


def test_equal_weights_are_none():
    np.testing.assert_allclose(
        transport(X, Y, np.full((2, 7), 0.3)), transport(X, Y), rtol=1e-5
    )


@pytest.mark.parametrize(
    "counts", [[2, 1, 0, 3, 0, 0, 1], [0, 0, 0, 1, 0, 0, 0]]
)
def test_an_integer_weight_counts_repetitions(counts):
    weights = np.ones((2, 7)) * counts
    repeated = np.repeat(Y, counts, axis=1)
    np.testing.assert_allclose(
        transport(X, Y, weights), transport(X, repeated), rtol=1e-5
    )


def test_groups_are_apart():
    whole = transport(X, Y)
    np.testing.assert_allclose(transport(X[:1], Y[:1]), whole[:1], rtol=1e-6)


def test_an_absent_point_receives_no_mass_whatever_the_rounding():
    rng = np.random.default_rng(19)
    x = rng.normal(size=(1, 500, 1)).astype("float32")
    y = np.append(rng.normal(size=37), 1e4).astype("float32")[None, :, None]
    weights = np.append(rng.uniform(0.1, 1, 37), 0).astype("float32")[None]
    found, expected = (
        contracts.numpy(
            sliced_transport(
                ops.array(x),
                PointCloud(ops.array(y[:, :m]), ops.array(w[:, :m])),
            )
        )
        for m, w in ((38, weights), (37, weights))
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4)
