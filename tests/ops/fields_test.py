import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import curl_free_field
from keras_drift.ops import dual_field
from keras_drift.ops import official_mean_distance
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
    return x, PointCloud(ops.convert_to_tensor(positives), weights)


def test_official_mean_distance_weighs_all_pairs(clouds):
    x, positives = clouds
    points = contracts.numpy(positives.points)
    negatives = PointCloud(ops.convert_to_tensor(x), None, True)
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
    found = official_mean_distance(
        ops.convert_to_tensor(x), positives, negatives
    )
    expected = np.mean(distances) / np.mean(weights)
    assert float(found) == pytest.approx(expected, rel=1e-4)


LOG_KERNELS = [lambda r, b=b: -r / b for b in (0.5, 2.0)]


def corrected_row_field(log_kernels, positives, negatives):
    return row_field(log_kernels, positives, negatives, bias_correction=True)


def corrected_dual_field(log_kernels, positives, negatives):
    return dual_field(log_kernels, positives, negatives, bias_correction=True)


def field_of_weighted_gradients(log_kernels, positives, negatives):
    weights = [lambda r: 0.3 * r] * len(log_kernels)
    return curl_free_field(log_kernels, weights, positives, negatives, True)


FIELDS = (
    row_field,
    dual_field,
    corrected_row_field,
    corrected_dual_field,
    field_of_weighted_gradients,
)


@pytest.mark.parametrize("block_size", [None, (2, 3)])
@pytest.mark.parametrize("field", FIELDS)
def test_fields_list_the_bandwidths(clouds, field, block_size):
    x, positives = clouds
    x = ops.convert_to_tensor(x)

    def compute(log_kernels):
        pairs = (
            Pairs(x, cloud, block_size=block_size)
            for cloud in (positives, PointCloud(x, None, True))
        )
        return field(log_kernels, *pairs)

    @contracts.in_one_program
    def together_and_alone():
        return compute(LOG_KERNELS), [
            compute([log_kernel])[0] for log_kernel in LOG_KERNELS
        ]

    fields, alone = together_and_alone()
    assert [tuple(each.shape) for each in fields] == [(2, 5, 3)] * 2
    for one, other in zip(fields, alone, strict=True):
        one, other = contracts.numpy(one), contracts.numpy(other)
        assert np.all(np.isfinite(one))
        np.testing.assert_allclose(other, one, atol=1e-6)


@pytest.mark.parametrize("block_size", [None, (2, 3)])
def test_a_mean_over_nothing_exerts_no_force(clouds, block_size):
    x, positives = clouds
    x = ops.convert_to_tensor(x)
    nobody = Pairs(x, PointCloud(x, ops.zeros((2, 5))), block_size=block_size)
    positives = Pairs(x, positives, block_size=block_size)

    @contracts.in_one_program
    def forces():
        by_mass = row_field, corrected_row_field, field_of_weighted_gradients
        by_both = dual_field, corrected_dual_field
        return [
            *[field(LOG_KERNELS, nobody, nobody) for field in by_mass],
            *[field(LOG_KERNELS, positives, nobody) for field in by_both],
        ]

    for fields in forces():
        for each in fields:
            np.testing.assert_array_equal(contracts.numpy(each), 0)


@pytest.mark.parametrize("block_size", [None, (1, 1)])
def test_a_kernel_may_end_somewhere(block_size):
    """A sample beyond the reach of all points feels nothing."""
    x = ops.convert_to_tensor([[[0.0], [100.0]]])
    y = ops.convert_to_tensor([[[0.5], [5.0]]])

    def compact(r):
        return ops.where(r < 1, -r, float("-inf"))

    pairs = [
        Pairs(x, cloud, block_size=block_size)
        for cloud in (PointCloud(y), PointCloud(x))
    ]
    for field in FIELDS:
        program = contracts.in_one_program(
            lambda field=field: field([compact], *pairs)[0]
        )
        velocity = contracts.numpy(program())
        assert velocity[0, 0, 0] > 0
        assert velocity[0, 1, 0] == 0
