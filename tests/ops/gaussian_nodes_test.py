import numpy as np
import pytest

from keras_drift.ops import gaussian_nodes


@pytest.mark.parametrize(("count", "dim"), [(1, 1), (5, 1), (25, 2)])
def test_grids_are_exact_for_polynomials(count, dim):
    nodes, weights = gaussian_nodes(count, dim)
    assert nodes.shape == (count, dim)
    assert nodes.dtype == weights.dtype == "float64"
    assert weights.sum() == pytest.approx(1)
    moments = {1: 0, 2: 1, 3: 0, 4: 3, 6: 15, 8: 105}
    for power, moment in moments.items():
        if count > 1:
            for axis in range(dim):
                found = np.sum(weights * nodes[:, axis] ** power)
                assert found == pytest.approx(moment, abs=1e-10)
    if dim == 2:
        mixed = np.sum(weights * nodes[:, 0] ** 2 * nodes[:, 1] ** 4)
        assert mixed == pytest.approx(3)


@pytest.mark.parametrize(("count", "dim"), [(6, 2), (7, 3), (1, 5), (64, 3)])
def test_random_nodes_come_in_pairs_and_from_the_seed(count, dim):
    nodes, weights = gaussian_nodes(count, dim, seed=3)
    assert nodes.shape == (count, dim)
    np.testing.assert_allclose(weights, 1 / count)
    np.testing.assert_allclose(weights @ nodes, 0, atol=1e-15)
    np.testing.assert_array_equal(nodes, gaussian_nodes(count, dim, seed=3)[0])
    if count > 1:
        assert np.any(nodes != gaussian_nodes(count, dim, seed=4)[0])


def test_many_random_nodes_have_the_covariance_of_a_gaussian():
    nodes, weights = gaussian_nodes(20_000, 3)
    covariance = np.einsum("k,ki,kj->ij", weights, nodes, nodes)
    np.testing.assert_allclose(covariance, np.eye(3), atol=0.04)
