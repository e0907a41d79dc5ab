"""Kernel drifts of directions (papers, 5.4)."""

import numpy as np
import pytest
from scipy import special

import contracts
from keras_drift import kernels
from keras_drift.drifts import KernelDrift
from keras_drift.drifts import normalizations

VMF = kernels.VonMisesFisher
LOG = kernels.SphericalLogarithmic
each_field = pytest.mark.parametrize(
    ("cls", "normalization"),
    [
        (VMF, "row"),
        (VMF, "dual"),
        (VMF, "sharp"),
        (VMF, "score"),
        (LOG, "row"),
        (LOG, "score"),
    ],
)
each_score = pytest.mark.parametrize("cls", [VMF, LOG])


def make(cls, normalization, bandwidth=0.6, **kwargs):
    kwargs = {"relative": False, "unit_rms": False, **kwargs}
    return KernelDrift(cls(bandwidth), normalization, **kwargs)


def velocity(*args, clouds, **kwargs):
    return contracts.numpy(make(*args, **kwargs)(*clouds))


def length_scale(points):
    return points / np.linalg.norm(points, axis=-1, keepdims=True)


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(2, size, 3)) for size in (5, 7, 6)]


@each_field
def test_moves_along_the_sphere(cls, normalization, clouds):
    found = velocity(cls, normalization, clouds=clouds)
    along = np.sum(found * length_scale(clouds[0]), axis=-1)
    np.testing.assert_allclose(along, 0, atol=1e-6)
    assert np.abs(found).max() > 0.1


@each_field
def test_turns_with_the_sphere(cls, normalization, clouds):
    normal = np.random.default_rng(1).normal(size=(3, 3))
    rotation, _ = np.linalg.qr(normal)
    turned = [cloud @ rotation for cloud in clouds]
    np.testing.assert_allclose(
        velocity(cls, normalization, clouds=turned),
        velocity(cls, normalization, clouds=clouds) @ rotation,
        atol=1e-5,
    )


@each_field
def test_lengths_scale_the_velocity_only(cls, normalization, clouds):
    x, y, z = clouds
    found = velocity(cls, normalization, clouds=(3 * x, 5 * y, z / 7))
    expected = 3 * velocity(cls, normalization, clouds=clouds)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@each_field
def test_swapped_roles_turn_it_round(cls, normalization, clouds):
    x, y, z = clouds
    found = velocity(cls, normalization, clouds=(x, z, y))
    expected = -velocity(cls, normalization, clouds=clouds)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    rest = velocity(cls, normalization, clouds=(x, y, y))
    np.testing.assert_array_equal(rest, 0)


@each_score
def test_the_score_field_is_a_gradient_on_the_sphere(cls, clouds):
    """Of the log-densities in terms of cosines, by central differences."""
    x, y, z = (length_scale(cloud[0]) for cloud in clouds)
    b = 0.6
    e = b**2 / 2

    def log_density(point, cloud):
        cosines = cloud @ length_scale(point)
        if cls is VMF:
            return special.logsumexp(cosines / b**2) - np.log(len(cloud))
        return np.log(np.mean(np.log((2 + e) / (1 - cosines + e))))

    expected = np.zeros(x.shape)
    for i, point in enumerate(x):
        for d, step in enumerate(1e-5 * np.eye(3)):
            rise = [
                log_density(at, y) - log_density(at, z)
                for at in (point + step, point - step)
            ]
            # Its argument is scaled to unit length: the tangent part is all.
            expected[i, d] = b**2 * (rise[0] - rise[1]) / 2e-5
    found = velocity(cls, "score", clouds=(x, y, z))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("normalization", ["row", "dual", "sharp", "score"])
def test_von_mises_fisher_is_the_gaussian_of_unit_vectors(
    normalization, clouds
):
    units = [length_scale(cloud) for cloud in clouds]
    gaussian = velocity(kernels.Gaussian, normalization, clouds=units)
    x = units[0]
    tangent = gaussian - np.sum(gaussian * x, axis=-1, keepdims=True) * x
    found = velocity(VMF, normalization, clouds=(x, *clouds[1:]))
    np.testing.assert_allclose(found, tangent, atol=1e-5)


def test_a_wide_kernel_takes_one_step_along_the_sphere(clouds):
    x, y, z = (length_scale(cloud) for cloud in clouds)
    step = np.mean(y, axis=1, keepdims=True) - np.mean(z, axis=1, keepdims=True)
    tangent = step - np.sum(step * x, axis=-1, keepdims=True) * x
    found = velocity(VMF, "row", bandwidth=1e4, clouds=(x, y, z))
    np.testing.assert_allclose(found, tangent, atol=1e-5)


@each_score
def test_contract(cls):
    # Not `contracts.check_drift`: where the origin is does matter here.
    drift = make(cls, normalizations.Score(bias_correction=True))
    copy = contracts.copy_of(drift)
    assert copy.get_config() == drift.get_config()
    rng = np.random.default_rng(0)
    clouds = [rng.normal(size=(2, n, 3)).astype("float32") for n in (5, 7, 6)]
    expected = contracts.numpy(drift(*clouds))
    np.testing.assert_array_equal(contracts.numpy(copy(*clouds)), expected)
    compiled = contracts.compiled(drift, *clouds)
    np.testing.assert_allclose(compiled, expected, atol=1e-5)


@each_field
def test_edges_stay_finite(cls, normalization):
    x = np.array([[0.0, 0.0], [1.0, 0.0], [-2.0, 0.0]])
    data = np.array([[3.0, 0.0], [0.0, 0.0], [3.0, 0.0], [-1.0, 0.0]])
    drift = contracts.in_one_program(make(cls, normalization))
    found = contracts.numpy(drift(x, data))
    assert np.all(np.isfinite(found))
    # The origin has no direction.
    np.testing.assert_allclose(found[0], 0, atol=1e-12)


@each_field
def test_the_norm_has_the_unit_of_the_samples(cls, normalization, clouds):
    x, y, z = (cloud.astype("float32") for cloud in clouds)
    norms = [
        contracts.numpy(make(cls, normalization).field(factor * x, y, z).norm)
        for factor in (1, 3)
    ]
    np.testing.assert_allclose(norms[1], 3 * norms[0], rtol=1e-5)
