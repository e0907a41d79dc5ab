import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift.ops import joint_quantiles
from keras_drift.ops import quantile_means
from keras_drift.ops import slice_directions


@pytest.mark.parametrize(("num", "dim"), [(7, 1), (7, 3), (2, 5)])
def test_directions_are_unit_vectors_in_orthogonal_blocks(num, dim):
    lines = slice_directions(num, dim, 0)
    assert lines.shape == (num if dim > 1 else 1, dim)
    for start in range(0, len(lines), dim):
        block = lines[start : start + dim]
        np.testing.assert_allclose(
            block @ block.T, np.eye(len(block)), atol=1e-6
        )


@pytest.mark.parametrize(("n", "m"), [(5, 5), (6, 4), (3, 7)])
def test_joint_quantiles_move_all_mass(n, m):
    x_index, y_index, mass = joint_quantiles(n, m)
    np.testing.assert_allclose(np.bincount(x_index, mass), 1 / n, rtol=1e-6)
    np.testing.assert_allclose(np.bincount(y_index, mass), 1 / m, rtol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n", "m"), [(5, 5), (6, 4), (3, 7), (1, 4), (4, 1)])
def test_quantile_means(n, m, weighted):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 3, m)).astype("float32")
    counts = rng.integers(0, 4, size=(2, 3, m)) if weighted else None
    if weighted:
        counts[..., 0] += 1

    def compute(values, weights):
        return quantile_means(values, n, weights)

    weights = ops.cast(counts, "float32") if weighted else None
    found = contracts.in_one_program(compute)(values=values, weights=weights)
    for index in np.ndindex(2, 3):
        points = np.sort(values[index].astype("float64"))
        if weighted:
            order = np.argsort(values[index])
            points = np.repeat(points, counts[index][order])
        # As many copies of each as there are samples: cells of one size.
        expected = np.repeat(points, n).reshape(n, -1).mean(1)
        np.testing.assert_allclose(
            contracts.numpy(found)[index], expected, atol=1e-6
        )
