"""The smoothed field is the exact gradient of the smoothed divergence."""

import keras
import numpy as np
import pytest

import contracts
from keras_drift import DriftModel
from keras_drift import datasets
from keras_drift import generators
from keras_drift import kernels
from keras_drift.drifts import FDivergenceDrift
from keras_drift.drifts import KernelDrift
from keras_drift.drifts import normalizations

X = np.array([-0.7, 1.5, -0.8, -1.2])
Y = np.array([0.4, 1.5, 2.4, 0.9, -0.6])
WIDTH = 0.7
# Values `f(u)` of the densities, by hand.
DIVERGENCES = {
    "kl_qp": lambda u: u * np.log(u),
    "kl_pq": lambda u: -np.log(u),
    "chi2": lambda u: (u - 1) ** 2 / 2,
}


def density(grid, points):
    steps = grid[:, None] - points[None]
    bells = np.exp(-(steps**2) / (2 * WIDTH**2))
    return bells.mean(axis=1) / (WIDTH * np.sqrt(2 * np.pi))


def smoothed_divergence(f, x):
    """`E_p f(q / p)` of the smoothed densities, by the trapezoid rule."""
    grid, step = np.linspace(-7, 9, 8001, retstep=True)
    p, q = density(grid, Y), density(grid, x)
    return step * np.sum(p * f(q / p))


def exact_flow(f, step=1e-5):
    found = []
    for i in range(len(X)):
        ends = []
        for sign in (1, -1):
            moved = X.copy()
            moved[i] += sign * step
            ends.append(smoothed_divergence(f, moved))
        found.append(-len(X) * (ends[0] - ends[1]) / (2 * step))
    return WIDTH**2 * np.array(found)


def make(cls, outer_smoothing, kernel="gaussian", **options):
    if cls is FDivergenceDrift:
        return cls(kernel=kernel, outer_smoothing=outer_smoothing, **options)
    row = normalizations.Row(outer_smoothing=outer_smoothing)
    return cls(kernel, row, **options)


def velocity(cls, num_copies, **options):
    options = {"self_interaction": "included", **options}
    drift = make(cls, num_copies, kernels.Gaussian(WIDTH), **options)
    found = contracts.in_one_program(drift)(X[:, None], Y[:, None])
    return contracts.numpy(found)[:, 0]


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_is_the_exact_flow_of_the_smoothed_divergence(divergence):
    expected = exact_flow(DIVERGENCES[divergence])
    options = {"divergence": divergence, "clip": 1e6}
    found = velocity(FDivergenceDrift, 64, **options)
    np.testing.assert_allclose(found, expected, atol=2e-4)
    plain = velocity(FDivergenceDrift, None, **options)
    assert np.abs(plain - expected).max() > 0.05


def test_the_kernel_drift_becomes_the_exact_flow_of_the_smoothed_kl():
    expected = exact_flow(DIVERGENCES["kl_qp"])
    found = velocity(KernelDrift, 32)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    # Without it, a sample even turns round.
    plain = velocity(KernelDrift, None)
    np.testing.assert_array_equal(
        plain * expected > 0, [True, False] + [True] * 2
    )


def test_one_copy_is_the_sample_itself():
    np.testing.assert_allclose(
        velocity(KernelDrift, 1), velocity(KernelDrift, None), rtol=1e-6
    )


@pytest.mark.parametrize("relative", [False, True])
def test_is_the_mean_over_jittered_samples(relative):
    """Several bandwidths, weights and groups; each bandwidth has its jitter."""
    rng = np.random.default_rng(0)
    x, y, z = (rng.normal(size=(2, size, 3)) for size in (4, 7, 6))
    widths, copies = np.array([0.5, 1.3]), 6
    weights = {"positive_weights": rng.uniform(0.5, 2, (2, 7))}
    options = {"relative": relative, "self_interaction": "independent"}

    drift = make(
        KernelDrift,
        copies,
        kernels.Gaussian(widths),
        block_size=(3, 4),
        **options,
    )
    found = contracts.in_one_program(drift.field)(x, y, z, **weights)
    length = 1.0
    if relative:
        length = float(contracts.numpy(found.length_scale)) * np.sqrt(3)
    half = np.random.default_rng(0).normal(size=(copies // 2, 3))
    half /= np.sqrt(np.mean(half**2))
    expected = 0.0
    absolute = contracts.in_one_program
    for width in widths * length:
        drift = absolute(KernelDrift(kernels.Gaussian(width)))
        for node in [*half, *-half]:
            step = contracts.numpy(drift(x + width * node, y, z, **weights))
            expected += step / (2 * copies)
    np.testing.assert_allclose(
        contracts.numpy(found.velocity), expected, atol=2e-5
    )


@pytest.mark.parametrize(
    ("cls", "own"),
    [(KernelDrift, "independent"), (FDivergenceDrift, "included")],
)
def test_trains_a_model(cls, own):
    drift = make(cls, 4, self_interaction=own)
    copy = contracts.copy_of(drift)
    copy = copy.normalization if cls is KernelDrift else copy
    assert copy.outer_smoothing == 4
    model = DriftModel(generators.MLP(2, hidden_dims=(8,)), drift, seed=0)
    model.compile(keras.optimizers.Adam(1e-2))
    data = datasets.two_moons(64, seed=0)
    history = model.fit(data, batch_size=32, verbose=0)
    assert np.isfinite(history.history["loss"][0])


@pytest.mark.parametrize("cls", [KernelDrift, FDivergenceDrift])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": "laplacian"}, r"must be a `Gaussian`.*kernel=Laplacian"),
        ({"self_interaction": "excluded"}, r"nothing to exclude.*='excluded'"),
        ({"outer_smoothing": 0}, r"`outer_smoothing`.*=0"),
    ],
)
def test_bad_arguments(cls, options, message):
    defaults = {
        "kernel": "gaussian",
        "self_interaction": "included",
        "outer_smoothing": 4,
    }
    with pytest.raises(ValueError, match=message):
        make(cls, **{**defaults, **options})
