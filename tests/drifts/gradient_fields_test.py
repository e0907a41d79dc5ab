import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift import kernels
from keras_drift.drifts import KernelDrift
from keras_drift.ops import pairwise_distances
from kernel_drift_by_hand import SIZES
from kernel_drift_by_hand import WEIGHTS
from kernel_drift_by_hand import draw
from kernel_drift_by_hand import make
from kernel_drift_by_hand import profile_of
from kernel_drift_by_hand import velocity_by_hand


@pytest.mark.parametrize("block_size", [None, (2, 3)])
@pytest.mark.parametrize("name", ["laplacian", "matern"])
@pytest.mark.parametrize("normalization", ["sharp", "score"])
def test_gradient_fields_match_the_formula_with_options(
    normalization, name, block_size
):
    x, y, _, u = draw(*SIZES)
    options = {"relative": True, "unit_rms": True}
    drift = make(name, normalization, block_size=block_size, **options)
    weights = {
        "positive_weights": WEIGHTS["a"],
        "negative_weights": WEIGHTS["b"],
        "unconditional_weights": WEIGHTS["c"],
    }
    velocity, norm = velocity_by_hand(
        profile_of(name, normalization),
        normalization,
        x,
        y,
        u=u,
        **WEIGHTS,
        **options,
    )
    field = contracts.in_one_program(drift.field)(
        x, y, unconditional=u, **weights
    )
    contracts.assert_close(
        contracts.numpy(field.velocity), velocity, tolerance=3e-5
    )
    np.testing.assert_allclose(contracts.numpy(field.norm), norm, rtol=3e-5)


def test_gradient_fields_have_a_symmetric_jacobian():
    """And the row field of any kernel but the Gaussian has not."""
    y, z = draw((7, 3), (6, 3))
    step, point = 2e-2, draw((1, 3), seed=3)[0]
    # The six ends of the differences, in groups of their own.
    ends = point + step * np.concatenate([np.eye(3), -np.eye(3)])
    groups = [np.stack([cloud] * 6) for cloud in (y, z)]

    def asymmetry(normalization, name="laplacian"):
        drift = make(name, normalization, [0.7], relative=False, unit_rms=False)
        program = contracts.in_one_program(drift)
        velocity = contracts.numpy(program(ends[:, None], *groups))[:, 0]
        jacobian = (velocity[:3] - velocity[3:]) / (2 * step)
        return np.linalg.norm(jacobian - jacobian.T) / np.linalg.norm(jacobian)

    for name in ("laplacian", "inverse_multiquadric"):
        assert asymmetry("sharp", name) < 1e-3
        assert asymmetry("score", name) < 1e-3
    assert asymmetry("row", "gaussian") < 1e-3
    assert asymmetry("row") > 0.02


@pytest.mark.parametrize("normalization", ["sharp", "score"])
def test_gradient_fields_of_a_gaussian_are_its_row_field(normalization):
    x, y, z, _ = draw(*SIZES)
    expected = contracts.numpy(make("gaussian", "row")(x, y, z))
    found = contracts.numpy(make("gaussian", normalization)(x, y, z))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_sharp_field_is_the_gradient_of_a_loss():
    """Papers, 7.2: of the log-densities of the companion, points held fixed."""
    x, y, z, _ = draw(*SIZES)
    kernel, width = kernels.Laplacian(0.7), 0.7

    def loss(samples):
        def log_density(points):
            radius = pairwise_distances(samples, points) / width
            return ops.logsumexp(kernel.log_companion(radius), axis=-1)

        return ops.mean(log_density(z) - log_density(y))

    found = contracts.gradient(loss, x)
    velocity = contracts.numpy(KernelDrift(kernel, "sharp")(x, y, z))
    expected = -velocity / width**2 / (x.shape[0] * x.shape[1])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_far_away_a_gradient_field_still_knows_the_way():
    # A Laplacian there has no density left, but a slope of its logarithm.
    x, y, z = np.array([[[0.0]], [[1e6]], [[1e6 + 8]]])
    for normalization in ("sharp", "score"):
        drift = make("laplacian", normalization, 1e-6)
        velocity = contracts.numpy(drift(x, y, x + 1.0)).item()
        assert velocity == pytest.approx(0.0, abs=1e-9)
        velocity = contracts.numpy(drift(x, y, -z)).item()
        assert velocity == pytest.approx(2e-6, rel=1e-4)


def test_sharp_needs_a_companion():
    with pytest.raises(ValueError, match=r"companion.*`exponent` above 1"):
        KernelDrift(kernels.InverseMultiquadric(exponent=0.5), "sharp")
    with pytest.raises(ValueError, match=r"companion.*no closed form"):
        KernelDrift("spherical_logarithmic", "sharp")
