"""The gradient of the temperature loss, against finite differences."""

import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift import drifts
from keras_drift import kernels
from keras_drift.training import bandwidth_schedule

WIDTHS = [0.4, 1.3]


def loss_by_hand(widths, x, y, a, z=None, unit=None):
    """`- mean_groups max_i log sum_{j in pos} softmax_j(-d_ij / tau)`."""
    losses = []
    for width in widths:
        groups = []
        for g in range(len(x)):
            if not np.any(a[g] > 0):
                continue  # an absent group
            logs = []
            for i, point in enumerate(x[g]):
                others = np.delete(x[g], i, axis=0) if z is None else z[g]
                s = 1.0 if unit is None else unit[g][i]

                def mass(points, weights=1.0, p=point, w=width, s=s):
                    d = np.linalg.norm(points - p, axis=-1)
                    return np.sum(weights * np.exp(-d / (w * s)))

                near = a[g] > 0
                p = mass(y[g][near], a[g][near])
                logs.append(np.log(p / (p + mass(others))))
            groups.append(max(logs))
        losses.append(-np.mean(groups))
    return np.mean(losses)


def slope_by_hand(*args, **options):
    step = 1e-5
    ends = [
        loss_by_hand(np.exp(h) * np.array(WIDTHS), *args, **options)
        for h in (-step, step)
    ]
    return (ends[1] - ends[0]) / (2 * step)


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    x, y, z = (rng.normal(size=(3, n, 2)) for n in (5, 7, 6))
    a = np.ones((3, 7))
    a[0, 1], a[1, 2], a[2] = 3.0, 0.0, 0.0
    return x, y + 0.3, z, a


def found(clouds, given=True, drift=None, **options):
    x, y, z, a = clouds
    drift = drift or drifts.KernelDrift(kernels.Laplacian(WIDTHS), **options)
    y = np.where(a[..., None] > 0, y, np.nan)
    negatives = {"negatives": z} if given else {}

    def gradient():
        return drift.bandwidth_gradient(x, y, positive_weights=a, **negatives)

    return float(contracts.in_one_program(gradient)())


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("block_size", [None, (2, 3)])
def test_matches_finite_differences(clouds, given, block_size):
    x, y, z, a = clouds
    expected = slope_by_hand(x, y, a, z if given else None)
    assert abs(expected) > 0.01
    gradient = found(clouds, given, block_size=block_size)
    assert gradient == pytest.approx(expected, rel=1e-3)


def test_relative_bandwidths_have_no_unit(clouds):
    x, y, z, a = clouds
    expected = found(clouds, relative=True)
    larger = 50 * x, 50 * y, 50 * z, a
    again = found(larger, relative=True)
    assert again == pytest.approx(expected, rel=1e-3)
    absolute = found(clouds)
    assert abs(absolute - expected) > 1e-3


def test_radii_are_units_too(clouds):
    drift = drifts.SelfTuningDrift(kernels.Laplacian(WIDTHS), num_neighbors=100)
    x, y, z, a = clouds
    unit = [
        [
            max(
                np.linalg.norm(points - p, axis=-1).max()
                for points in (y[g][a[g] > 0], z[g])
            )
            for p in x[g]
        ]
        for g in range(2)
    ]
    expected = slope_by_hand(x[:2], y[:2], a[:2], z[:2], unit)
    assert found(clouds, drift=drift) == pytest.approx(expected, rel=1e-3)


def test_shared_fields_are_averaged(clouds):
    x, y, *_ = clouds
    gradient = drifts.KernelDrift(kernels.Laplacian(WIDTHS)).bandwidth_gradient
    # One group of the batch, whose features have one and two tokens.
    shared = contracts.in_one_program(
        lambda x, y: gradient(x, y, tokens=[1, 2])
    )
    alone = contracts.in_one_program(gradient)
    together = float(shared(x, y))
    each = [
        float(alone(x[part], y[part])) for part in (slice(0, 1), slice(1, 3))
    ]
    assert together == pytest.approx(np.mean(each), rel=1e-4)


def test_spherical_kernels_compare_directions(clouds):
    x, y, *_ = clouds
    drift = drifts.KernelDrift(kernels.VonMisesFisher(0.5))
    gradient = contracts.in_one_program(drift.bandwidth_gradient)
    one, other = (float(gradient(*sets)) for sets in ((x, y), (3 * x, 0.5 * y)))
    assert one == pytest.approx(other, rel=1e-4)


def test_a_kernel_whose_shape_depends_on_the_bandwidth_is_refused(clouds):
    x, y, *_ = clouds
    drift = drifts.KernelDrift(kernels.SphericalLogarithmic(0.5))
    with pytest.raises(ValueError, match="kernel=SphericalLogarithmic"):
        drift.bandwidth_gradient(x, y)
    with pytest.raises(ValueError, match="kernel=SphericalLogarithmic"):
        bandwidth_schedule.check_learnable(drift)


@pytest.mark.parametrize("name", kernels.__all__)
def test_other_kernels_are_functions_of_a_ratio(name):
    cls = getattr(kernels, name)
    if not (isinstance(cls, type) and cls.family and cls.scales_distances):
        pytest.skip("is none")
    narrow, wide = (
        cls(width).log_kernels()[0](ops.convert_to_tensor([0.4, 1.2]) * width)
        for width in (0.5, 2.0)
    )
    np.testing.assert_allclose(
        contracts.numpy(narrow), contracts.numpy(wide), rtol=1e-5
    )
