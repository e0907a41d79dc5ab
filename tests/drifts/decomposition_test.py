import numpy as np
import pytest
from scipy import special

import contracts
from keras_drift import kernels
from keras_drift.drifts import KernelDrift
from keras_drift.drifts import decomposition

PROFILES = {
    "gaussian": (kernels.Gaussian, lambda r: -(r**2) / 2),
    "laplacian": (kernels.Laplacian, lambda r: -r),
    "matern": (kernels.Matern, lambda r: np.log1p(3**0.5 * r) - 3**0.5 * r),
    "inverse_multiquadric": (
        kernels.InverseMultiquadric,
        lambda r: -1.5 * np.log1p(r**2),
    ),
}
WIDTHS = [0.6, 1.5]


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 7, 3))


def parts(kernel, x, points):
    function = contracts.in_one_program(lambda *c: decomposition(kernel, *c))
    return [contracts.numpy(part) for part in function(x, points)]


@pytest.mark.parametrize("name", PROFILES)
def test_parts_are_what_they_are_called(name, clouds):
    x, points = clouds
    cls, log_profile = PROFILES[name]
    preconditioner, score, residual = parts(cls(bandwidth=WIDTHS), x, points)
    assert preconditioner.shape == (2, 2, 5, 1)
    assert np.all(preconditioner > 0)

    def log_density(at, width):
        r = np.linalg.norm(at[:, :, None] - points[:, None], axis=-1)
        return special.logsumexp(log_profile(r / width), axis=-1)

    for k, width in enumerate(WIDTHS):
        gradient = np.stack(
            [
                log_density(x + step, width) - log_density(x - step, width)
                for step in 1e-5 * np.eye(3)
            ],
            axis=-1,
        )
        np.testing.assert_allclose(score[k], gradient / 2e-5, atol=1e-5)
        # The mean shift: the row field without its repulsion.
        r = np.linalg.norm(x[:, :, None] - points[:, None], axis=-1)
        shares = special.softmax(log_profile(r / width), axis=-1)
        total = preconditioner[k] * score[k] + residual[k]
        np.testing.assert_allclose(total, shares @ points - x, atol=1e-5)
    size = np.abs(residual).max()
    assert size < 1e-6 if name == "gaussian" else size > 1e-2


def test_a_laplacian_is_preconditioned_by_a_harmonic_mean(clouds):
    x, points = (cloud[0] for cloud in clouds)
    preconditioner, _, _ = parts(kernels.Laplacian(0.6), x, points)
    r = np.linalg.norm(x[:, None] - points, axis=-1)
    shares = special.softmax(-r / 0.6, axis=-1)
    harmonic = 1 / np.sum(shares / r, axis=-1, keepdims=True)
    np.testing.assert_allclose(preconditioner, 0.6 * harmonic, rtol=1e-5)


def test_the_score_field_is_a_difference_of_its_scores(clouds):
    x, points = (cloud[0] for cloud in clouds)
    kernel = kernels.Matern(0.6, nu=1.5)
    near, here = (parts(kernel, x, c)[1] for c in (points, points[::-1] + 1))
    velocity = KernelDrift(kernel, "score")(x, points, points + 1)
    np.testing.assert_allclose(
        contracts.numpy(velocity), 0.36 * (near - here), atol=1e-5
    )


def test_points_in_one_place_leave_nothing(clouds):
    x = clouds[0][0, :1]
    for part in parts("laplacian", x, np.repeat(x, 3, axis=0)):
        np.testing.assert_array_equal(part, 0)


def test_names_what_does_not_fit(clouds):
    x, points = clouds
    with pytest.raises(ValueError, match=r"points.shape=\(2, 7, 2\)"):
        decomposition("gaussian", x, points[..., :2])
    with pytest.raises(ValueError, match=r"points.shape=\(7, 3\)"):
        decomposition("gaussian", x, points[0])
    with pytest.raises(ValueError, match="spherical kernel"):
        decomposition("von_mises_fisher", x, points)
