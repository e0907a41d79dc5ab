"""What must be true of the field whatever the formula (papers, 0.2 and 0.5)."""

import functools

import numpy as np
import pytest

import contracts
from keras_drift import kernels
from keras_drift.drifts import KernelDrift
from keras_drift.drifts import normalizations

assert_close = functools.partial(contracts.assert_close, tolerance=2e-5)

BANDWIDTHS = np.array([0.4, 0.7, 2.0])

each_normalization = pytest.mark.parametrize(
    "normalization", ["row", "dual", "sharp", "score"]
)


def drift(normalization, kernel=None, **kwargs):
    """A drift in absolute units, without scaling to unit size."""
    kernel = kernels.Laplacian(BANDWIDTHS) if kernel is None else kernel
    kwargs = {"relative": False, "unit_rms": False, **kwargs}
    if kwargs.pop("bias_correction", False):
        normalization = type(normalizations.get(normalization))(True)
    return KernelDrift(kernel, normalization, **kwargs)


def field(*args, **kwargs):
    layer = drift(*args, **kwargs)
    return lambda *args, **kwargs: contracts.numpy(layer(*args, **kwargs))


def in_one_program(*args, **kwargs):
    """The same, for shapes that no other test has."""
    layer = contracts.in_one_program(drift(*args, **kwargs))
    return lambda *args, **kwargs: contracts.numpy(layer(*args, **kwargs))


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(2, size, 3)) for size in (5, 7, 6)]


@each_normalization
def test_moves_with_rigid_motions(clouds, normalization):
    rng = np.random.default_rng(1)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    moved = [cloud @ rotation + [2.0, -1.0, 0.5] for cloud in clouds]
    velocity = field(normalization)
    assert_close(velocity(*moved), velocity(*clouds) @ rotation)


@each_normalization
def test_scales_with_lengths_and_bandwidth(clouds, normalization):
    larger = [10 * cloud for cloud in clouds]
    assert_close(
        field(normalization, kernels.Laplacian(10 * BANDWIDTHS))(*larger),
        10 * field(normalization)(*clouds),
    )


@each_normalization
@pytest.mark.parametrize("unit_rms", [False, True])
def test_relative_bandwidths_need_no_rescaling(clouds, normalization, unit_rms):
    larger = [10 * cloud for cloud in clouds]
    velocity = field(normalization, relative=True, unit_rms=unit_rms)
    assert_close(velocity(*larger), 10 * velocity(*clouds))


@each_normalization
@pytest.mark.parametrize("scaled", [False, True])
def test_turns_round_when_the_roles_are_swapped(clouds, normalization, scaled):
    x, positives, negatives = clouds
    velocity = field(normalization, relative=scaled, unit_rms=scaled)
    assert_close(
        velocity(x, positives, negatives), -velocity(x, negatives, positives)
    )


@each_normalization
def test_rests_where_the_positives_are_the_negatives(clouds, normalization):
    x, positives, _ = clouds
    velocity = field(normalization)
    np.testing.assert_array_equal(velocity(x, positives, positives), 0)
    reversed_velocity = velocity(x, positives, positives[:, ::-1])
    np.testing.assert_allclose(reversed_velocity, 0, atol=1e-6)


def test_pulls_towards_positives_and_pushes_off_negatives():
    x, positives, negatives = np.array([[[0.0]], [[4.0]], [[1.0]]])
    assert in_one_program("row")(x, positives, negatives).item() == 3
    assert in_one_program("dual")(x, positives, negatives).item() > 0


@each_normalization
@pytest.mark.parametrize("scaled", [False, True])
def test_an_integer_weight_counts_repetitions(clouds, normalization, scaled):
    options = {
        "relative": scaled,
        "unit_rms": scaled,
        "bias_correction": scaled,
    }
    x, positives, negatives = clouds
    given = {
        "positives": positives,
        "negatives": negatives,
        "unconditional": negatives[:, ::-1] + 0.5,
    }
    velocity = in_one_program(normalization, **options)
    weights, repeated = {}, {}
    for name, cloud in given.items():
        counts = np.array([2, 1, 0, 3, 0, 0, 1])[: cloud.shape[1]]
        weights[name.removesuffix("s") + "_weights"] = np.stack([counts] * 2)
        repeated[name] = np.repeat(cloud, counts, axis=1)
    assert_close(velocity(x, **given, **weights), velocity(x, **repeated))


@each_normalization
def test_a_weight_of_zero_is_absent(clouds, normalization):
    x, positives, negatives = clouds
    velocity = in_one_program(normalization, relative=True, unit_rms=True)
    weights = np.zeros(negatives.shape[:2])
    found = velocity(
        x,
        positives,
        unconditional=negatives,
        unconditional_weights=weights,
    )
    assert_close(found, velocity(x, positives))


@pytest.mark.parametrize("c", [0.5, 7.0])
def test_row_weights_have_no_unit(clouds, c):
    x, positives, negatives = clouds
    weights = np.linspace(0.5, 2, 14).reshape(2, 7)
    assert_close(
        field("row")(x, positives, negatives, positive_weights=c * weights),
        field("row")(x, positives, negatives, positive_weights=weights),
    )


@each_normalization
@pytest.mark.parametrize(
    "kernel", [kernels.Gaussian, kernels.InverseMultiquadric]
)
def test_a_wide_kernel_takes_one_step_to_the_mean(
    clouds, normalization, kernel
):
    x, positives, negatives = clouds
    n, m, k = (cloud.shape[1] for cloud in clouds)
    gain = m * k / ((m + k) * n) if normalization == "dual" else 1.0
    if normalization == "score" and kernel is kernels.InverseMultiquadric:
        gain = 3.0  # twice its exponent
    step = gain * (
        positives.mean(axis=1, keepdims=True)
        - negatives.mean(axis=1, keepdims=True)
    )
    kernel = kernel(bandwidth=1e4 * BANDWIDTHS)
    velocity = field(normalization, kernel)(x, positives, negatives)
    assert_close(velocity, np.repeat(step, n, axis=1), tolerance=1e-4)


def test_a_narrow_kernel_sees_the_nearest_only(clouds):
    x, positives, negatives = clouds

    def nearest(cloud):
        pairs = x[:, :, None] - cloud[:, None]
        index = np.linalg.norm(pairs, axis=-1).argmin(axis=-1)
        return np.take_along_axis(cloud, index[..., None], axis=1)

    velocity = field("row", kernels.Laplacian(1e-4 * BANDWIDTHS))
    velocity = velocity(x, positives, negatives)
    assert_close(velocity, nearest(positives) - nearest(negatives))


def test_guidance_rests_at_the_extrapolated_distribution():
    # Negatives `q / alpha + (1 - 1 / alpha) p0` are the positives `pc` when
    # `q = alpha pc - (alpha - 1) p0` (papers, 1.4).
    atoms = np.random.default_rng(0).normal(size=(5, 2))
    pc = np.array([0.3, 0.3, 0.2, 0.1, 0.1])
    p0 = np.full(5, 0.2)
    alpha = 1.5
    q = alpha * pc - (alpha - 1) * p0
    assert q.min() >= 0
    options = {
        "positive_weights": pc,
        "negative_weights": q / alpha,
        "unconditional_weights": (1 - 1 / alpha) * p0,
    }
    for normalization in ("row", "dual"):
        velocity = in_one_program(normalization)
        rest = velocity(atoms, atoms, atoms, unconditional=atoms, **options)
        np.testing.assert_allclose(rest, 0, atol=1e-6)
        options["negative_weights"] = pc / alpha
        moved = velocity(atoms, atoms, atoms, unconditional=atoms, **options)
        assert np.abs(moved).max() > 1e-3
        options["negative_weights"] = q / alpha


def test_row_exclusion_leaves_one_out(clouds):
    x, positives, _ = (cloud[0] for cloud in clouds)
    # Each sample in a group of its own, with the others as its negatives.
    others = np.stack([np.delete(x, i, axis=0) for i in range(len(x))])
    alone = in_one_program("row")(
        x[:, None], np.stack([positives] * len(x)), others
    )
    assert_close(in_one_program("row")(x, positives), alone[:, 0])


@each_normalization
def test_included_samples_are_negatives_like_others(clouds, normalization):
    x, positives, _ = clouds
    included = field(normalization, self_interaction="included")
    np.testing.assert_array_equal(
        included(x, positives), included(x, positives, x)
    )
    excluded = field(normalization)(x, positives)
    assert np.abs(included(x, positives) - excluded).max() > 0.1


@each_normalization
def test_given_negatives_do_not_depend_on_self_interaction(
    clouds, normalization
):
    velocities = [
        field(normalization, self_interaction=mode)(*clouds)
        for mode in ("excluded", "included", "independent")
    ]
    np.testing.assert_array_equal(velocities[0], velocities[1])
    np.testing.assert_array_equal(velocities[0], velocities[2])


def test_gaussians_are_known_in_closed_form():
    # Papers, 2.1. Quantiles in place of random samples: no noise.
    from scipy import stats

    quantiles = stats.norm.ppf((np.arange(4000) + 0.5) / 4000)
    mean_p, std_p, mean_q, std_q, width = 1.0, 0.7, -0.5, 1.2, 0.6
    x = np.linspace(-1.5, 1.5, 7)
    expected = width**2 * (
        (mean_p - x) / (std_p**2 + width**2)
        - (mean_q - x) / (std_q**2 + width**2)
    )
    velocity = in_one_program("row", kernels.Gaussian(width))(
        x[:, None],
        (mean_p + std_p * quantiles)[:, None],
        (mean_q + std_q * quantiles)[:, None],
    )
    np.testing.assert_allclose(velocity[:, 0], expected, atol=1e-3)
