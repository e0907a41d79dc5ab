import keras
import numpy as np
import pytest

from keras_drift import kernels
from keras_drift import schedules
from keras_drift import spectral

XI = np.array([1.0, 3.0, 10.0])
DECAYS = keras.optimizers.schedules


def damping(rate_at, bandwidths):
    """What remains of a mode, one step after the other."""
    left = np.ones(len(XI))
    for bandwidth in bandwidths:
        left = left * np.exp(-rate_at(bandwidth))
    return left


def test_a_fixed_bandwidth_has_a_closed_form():
    kernel = kernels.Gaussian(0.5)
    found = spectral.convergence_time(
        kernel, XI, 3, tolerance=0.1, step_size=0.2
    )
    t = np.square(0.5 * XI)
    np.testing.assert_allclose(
        found, np.log(10) / (0.2 * t * np.exp(-t / 2)), rtol=1e-6
    )


@pytest.mark.parametrize(
    "schedule",
    [
        schedules.ExponentialAnnealing(3.0, 0.1, rate=0.02),
        DECAYS.CosineDecay(3.0, 150, alpha=0.03),
        DECAYS.PiecewiseConstantDecay([40, 90], [3.0, 0.5, 0.15]),
        lambda step: max(3.0 * 0.97**step, 0.1),  # takes one step only
    ],
    ids=["exponential", "cosine", "steps", "python"],
)
def test_a_schedule_is_followed_step_by_step(schedule):
    kernel = kernels.Laplacian([0.25, 1.0])
    times = spectral.convergence_time(
        kernel, XI, 1, 0.05, schedule, step_size=0.1
    )

    def rate_at(bandwidth):
        t = np.square([[0.25 * bandwidth], [bandwidth]] * XI)
        return 0.1 * np.mean(2 * t / np.square(1 + t), axis=0)

    widths = [float(schedule(step)) for step in range(int(times.max()) + 1)]
    for mode, time in enumerate(times):
        done = int(np.floor(time))
        before = damping(rate_at, widths[:done])[mode]
        part = (time - done) * rate_at(widths[done])[mode]
        np.testing.assert_allclose(before * np.exp(-part), 0.05, rtol=1e-4)


def test_weighted_bandwidths_add_their_rates():
    widths, weights = np.array([2.0, 0.5, 0.1]), np.array([0.5, 0.0, 3.0])
    found = spectral.convergence_time(
        kernels.Gaussian(widths.tolist()), XI, 2, 0.1, weights=weights
    )
    t = np.square(np.outer(widths, XI))
    np.testing.assert_allclose(
        found, np.log(10) / (weights @ (t * np.exp(-t / 2))), rtol=1e-6
    )
    # A schedule that halves all bandwidths is followed with the same weights.
    halved = spectral.convergence_time(
        kernels.Gaussian(widths.tolist()),
        XI,
        2,
        0.1,
        schedule=lambda step: 1.0 + 0.0 * step,
        weights=weights.tolist(),
    )
    t = t / 4
    rates = weights @ (t * np.exp(-t / 2))
    np.testing.assert_allclose(halved, np.log(10) / rates, rtol=1e-5)


def test_refuses_weights_of_other_bandwidths():
    kernel = kernels.Gaussian([1.0, 0.5])
    with pytest.raises(ValueError, match="3 weights, 2 bandwidths"):
        spectral.convergence_time(kernel, XI, 1, weights=[1.0, 1.0, 1.0])


def test_what_remains_goes_on_at_the_last_bandwidth():
    kernel = kernels.Gaussian(1.0)
    schedule = schedules.ExponentialAnnealing(2.0, 0.5, rate=0.1)
    # Far beyond the first stretch of steps, and far beyond the last.
    arguments = (kernel, [0.01, 0.1], 1, 0.01, schedule)
    whole = spectral.convergence_time(*arguments)
    cut = spectral.convergence_time(*arguments, max_steps=100)
    assert whole[1] > 1000
    np.testing.assert_allclose(cut, whole, rtol=1e-9)


def test_never_is_infinite():
    annealing = schedules.ExponentialAnnealing(1.0, 0.9, rate=1e-3)
    for schedule in (None, annealing):
        times = spectral.convergence_time(
            "gaussian", [[0.0], [60.0]], 1, schedule=schedule, max_steps=1000
        )
        assert times.shape == (2, 1)
        assert np.all(np.isinf(times))


def test_refuses_what_it_cannot_use():
    with pytest.raises(ValueError, match=r"below 1.*tolerance=1.5"):
        spectral.convergence_time("gaussian", XI, 1, tolerance=1.5)
    with pytest.raises(ValueError, match="stays positive"):
        spectral.convergence_time(
            "gaussian", [50.0], 1, schedule=lambda step: 1.0 - step
        )
