import numpy as np
import pytest

import contracts
from kernel_drift_by_hand import KERNELS
from kernel_drift_by_hand import SIZES
from kernel_drift_by_hand import WEIGHTS
from kernel_drift_by_hand import draw
from kernel_drift_by_hand import every_normalization
from kernel_drift_by_hand import make
from kernel_drift_by_hand import profile_of


def corrected_mean(values, weights, counts):
    """Papers, section 9, with a copy of a point for each of its counts."""
    shares = np.array(weights) / np.sum(weights)
    mean = shares @ values
    squares = shares**2 / np.maximum(counts, 1)
    return mean + squares @ (values - mean)


def corrected_by_hand(name, normalization, bandwidth, x, y, a, z, b):
    """The same as `velocity_by_hand`, for one group and its own negatives."""
    kernel = KERNELS[name][2]
    profile = profile_of(name, normalization)

    def radius(p, q):
        return np.linalg.norm(p - q) / bandwidth

    similar = [
        np.array([[profile(radius(s, p)) for p in c] for s in x])
        for c in (y, z)
    ]
    gains = np.ones(len(x))
    if normalization == "dual":
        joined = np.concatenate([a * similar[0], b * similar[1]], axis=1)
        rows = joined.sum(axis=1, keepdims=True)
        similar = [s / np.sqrt(rows * s.sum(axis=0)) for s in similar]
        gains = (similar[0] @ a) * (similar[1] @ b)
    ends = []
    for s, cloud, counts in ((similar[0], y, a), (similar[1], z, b)):
        means = []
        for point, row in zip(x, s, strict=True):
            r = np.array([radius(point, p) for p in cloud])
            pull = np.ones(len(cloud))
            if normalization == "sharp":
                pull = profile(0.0) * kernel(r) / profile(r)
            if normalization == "score":
                slope = (kernel(r + 1e-6) - kernel(r - 1e-6)) / 2e-6
                pull = -slope / (r * kernel(r))
            values = pull[:, None] * (cloud - point)
            means.append(corrected_mean(values, counts * row, counts))
        ends.append(np.array(means))
    return gains[:, None] * (ends[0] - ends[1])


@pytest.mark.parametrize("block_size", [None, (2, 3)])
@every_normalization
def test_bias_correction_matches_its_formula(normalization, block_size):
    x, y, z, _ = (cloud[0] for cloud in draw(*SIZES))
    drift = make(
        "matern",
        normalization,
        [0.7],
        relative=False,
        unit_rms=False,
        bias_correction=True,
        block_size=block_size,
    )
    counts = WEIGHTS["a"][0], np.append(WEIGHTS["b"][0], 0.3)
    found = contracts.in_one_program(drift)(
        x, y, z, positive_weights=counts[0], negative_weights=counts[1]
    )
    expected = corrected_by_hand(
        "matern",
        normalization,
        0.7,
        *(v.astype("float64") for v in (x, y, counts[0], z, counts[1])),
    )
    contracts.assert_close(contracts.numpy(found), expected, tolerance=1e-5)


@every_normalization
def test_bias_correction_does_nothing_to_a_lone_point(normalization):
    x, y, z = draw((3, 2), (1, 2), (1, 2))
    options = {"relative": False, "unit_rms": False}
    plain, corrected = (
        contracts.in_one_program(
            make("gaussian", normalization, bias_correction=b, **options)
        )
        for b in (False, True)
    )
    np.testing.assert_allclose(
        contracts.numpy(corrected(x, y, z)),
        contracts.numpy(plain(x, y, z)),
        atol=1e-6,
    )


def test_bias_correction_does_nothing_where_one_point_has_all_the_weight():
    x = np.zeros((1, 1))
    y, z = np.array([[0.1], [5.0], [7.0]]), np.array([[0.3], [-5.0]])
    drift = make("laplacian", "row", 0.05, bias_correction=True)
    velocity = contracts.in_one_program(drift)(x, y, z)
    assert contracts.numpy(velocity).item() == pytest.approx(-0.2, abs=1e-6)


def test_corrected_means_stay_among_the_points():
    # In one dimension and away from a far lone negative: between the ends.
    y = np.linspace(-1, 1, 5)[None, :, None].repeat(40, axis=0)
    rng = np.random.default_rng(0)
    weights = rng.exponential(size=(40, 5)) ** 3
    x = rng.normal(size=(40, 1, 1))
    drift = make("gaussian", "row", 0.3, bias_correction=True)
    velocity = contracts.in_one_program(drift)(
        x, y, np.zeros((40, 1, 1)), positive_weights=weights
    )
    means = contracts.numpy(velocity)
    assert np.all(np.abs(means) <= 1 + 1e-5)
    assert np.ptp(means) > 1


def test_bias_of_the_correction_falls_faster():
    """Papers, section 9: like the second power of the number of points."""
    rng = np.random.default_rng(0)
    # Of standard normal data, around a place off the middle.
    place, width, groups = 1.5, 0.5, 20_000
    mean = place / (1 + width**2)
    mass = np.exp(-(place**2) / (2 * (1 + width**2)))
    mass *= width / np.sqrt(1 + width**2)
    x, zeros = np.full((groups, 1, 1), place), np.zeros((groups, 1, 1))
    bias = {}
    for n in (16, 64):
        y = rng.normal(size=(groups, n, 1))
        # What the error is to first order, zero on average: without it there
        # is less noise.
        k = np.exp(-((y - place) ** 2) / (2 * width**2))
        noise = np.mean(k * (y - mean), axis=1)[:, 0] / mass
        for corrected in (False, True):
            drift = make("gaussian", "row", width, bias_correction=corrected)
            means = contracts.numpy(
                contracts.in_one_program(drift)(x, y, zeros)
            )
            bias[corrected, n] = np.mean(means[:, 0, 0] - mean - noise)
    assert bias[False, 16] / bias[False, 64] < 8
    assert abs(bias[True, 16]) > 16 * abs(bias[True, 64])
    assert abs(bias[True, 64]) < 0.1 * abs(bias[False, 64])
