import numpy as np
import pytest

from keras_drift.ops import gaussian_nodes


@pytest.mark.parametrize(
    ("count", "dim", "size"),
    [(1, 1, 1), (5, 1, 5), (9, 2, 9), (11, 2, 9), (6, 3, 6), (7, 3, 7)],
)
def test_shapes_and_weights(count, dim, size):
    nodes, weights = gaussian_nodes(count, dim)
    assert nodes.shape == (size, dim)
    assert weights.shape == (size,)
    assert nodes.dtype == weights.dtype == "float64"
    np.testing.assert_allclose(weights.sum(), 1)


@pytest.mark.parametrize("dim", [1, 2])
def test_a_grid_is_exact_for_polynomials(dim):
    nodes, weights = gaussian_nodes(4**dim, dim)
    for power, moment in enumerate([1, 0, 1, 0, 3, 0, 15, 0]):
        found = weights @ nodes**power
        np.testing.assert_allclose(found, moment, atol=1e-12)
    mixed = weights @ np.prod(nodes**2, axis=1)
    np.testing.assert_allclose(mixed, 1)


@pytest.mark.parametrize("count", [6, 7])
def test_draws_are_exact_for_odd_functions_and_the_radius(count):
    nodes, weights = gaussian_nodes(count, 5)
    np.testing.assert_allclose(weights @ nodes**3, 0, atol=1e-12)
    np.testing.assert_allclose(weights @ np.sum(nodes**2, axis=1), 5)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_one_node_is_the_center(dim):
    np.testing.assert_allclose(gaussian_nodes(1, dim)[0], 0, atol=1e-12)


def test_draws_depend_on_the_seed():
    one, again, other = (gaussian_nodes(8, 3, s)[0] for s in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.1


def test_draws_converge():
    nodes, weights = gaussian_nodes(20000, 3)
    found = weights @ np.cos(nodes.sum(axis=1))
    np.testing.assert_allclose(found, np.exp(-1.5), atol=0.02)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_cached_arrays_cannot_be_written_to(dim):
    for array in gaussian_nodes(4, dim):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
