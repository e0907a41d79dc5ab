import keras
import numpy as np
import pytest

from keras_drift import kernels
from keras_drift import metrics


def distance(x, y, kernel="gaussian"):
    return float(metrics.maximum_mean_discrepancy(x, y, kernel))


def by_hand(x, y, bandwidths):
    def mean_similarity(first, second):
        return np.mean(
            [
                np.exp(-np.sum((a - b) ** 2) / (2 * bandwidth**2))
                for a in first
                for b in second
                for bandwidth in bandwidths
            ]
        )

    return np.sqrt(
        mean_similarity(x, x)
        + mean_similarity(y, y)
        - 2 * mean_similarity(x, y)
    )


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    return rng.normal(size=(7, 3)), rng.normal(size=(5, 3)) + 0.5


def test_matches_the_formula(clouds):
    assert distance(*clouds) == pytest.approx(by_hand(*clouds, [1.0]), rel=1e-4)
    kernel = kernels.Gaussian(2.5)
    expected = by_hand(*clouds, [2.5])
    assert distance(*clouds, kernel) == pytest.approx(expected, rel=1e-4)


def test_averages_over_bandwidths(clouds):
    kernel = kernels.Gaussian([0.5, 2.5])
    expected = by_hand(*clouds, [0.5, 2.5])
    assert distance(*clouds, kernel) == pytest.approx(expected, rel=1e-4)


def test_takes_a_name_a_kernel_or_a_config(clouds):
    kernel = kernels.get("laplacian")
    config = keras.saving.serialize_keras_object(kernel)
    values = {distance(*clouds, each) for each in (kernel, config, "laplacian")}
    assert len(values) == 1
    assert values != {distance(*clouds)}


def test_of_two_far_points_is_root_two():
    assert distance([[0.0]], [[100.0]]) == pytest.approx(np.sqrt(2))


def test_between_gaussians_tends_to_its_closed_form():
    # E k = (1 + 2) ** (-d / 2) exp(-shift ** 2 / 6) for unit widths.
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 1500, 2))
    y[:, 0] += 2
    expected = np.sqrt(2 / 3 * (1 - np.exp(-4 / 6)))
    assert distance(x, y) == pytest.approx(expected, rel=0.05)


def test_is_symmetric(clouds):
    x, y = clouds
    assert distance(x, y) == pytest.approx(distance(y, x), rel=1e-4)


def test_is_zero_on_one_set(clouds):
    x, _ = clouds
    assert distance(x, x) == 0


def test_annealing_a_drift_does_not_change_the_yardstick(clouds):
    x, y = clouds
    kernel = kernels.Gaussian(2.0)
    metric = metrics.MaximumMeanDiscrepancy(kernel)
    kernel.bandwidth.assign(np.full(kernel.bandwidth.shape, 0.1))
    value = float(metric(x[:4], y)["maximum_mean_discrepancy"])
    # Halves of 2: every other real sample, every second generated one.
    assert value == pytest.approx(by_hand(x[0:4:2], y[0:3:2], [2.0]), rel=1e-4)


def test_names_the_kernel_that_is_unknown(clouds):
    with pytest.raises(ValueError, match="Did you mean 'laplacian'"):
        metrics.maximum_mean_discrepancy(*clouds, kernel="laplace")
    with pytest.raises(ValueError, match="Did you mean 'laplacian'"):
        metrics.MaximumMeanDiscrepancy("laplace")
