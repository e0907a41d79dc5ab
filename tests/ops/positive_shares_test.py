"""Log-shares of the positives and their slopes, against float64."""

import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift import kernels
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import positive_shares
from pairs_by_hand import SAMPLES
from pairs_by_hand import Case
from pairs_by_hand import close
from pairs_by_hand import each_block_size

WIDTHS = np.array([0.3, 1.7])
PROFILES = {
    "gaussian": lambda r: -(r**2) / 2,
    "laplacian": lambda r: -r,
    "inverse_multiquadric": lambda r: -1.5 * np.log1p(r**2),
}


def log_share_by_hand(profile, width, sides):
    masses = [
        np.sum(case.counts * np.exp(profile(case.costs / width)), axis=-1)
        for case in sides
    ]
    return np.log(masses[0]) - np.log(sum(masses))


@each_block_size
@pytest.mark.parametrize("name", PROFILES)
def test_shares_and_slopes(name, block_size):
    sides = Case(True, False), Case(True, True)
    sides[0].counts = sides[0].counts * 1.5  # not the same mass
    sides[0].weights = sides[0].weights * np.float32(1.5)
    kernel = {
        "gaussian": kernels.Gaussian,
        "laplacian": kernels.Laplacian,
        "inverse_multiquadric": kernels.InverseMultiquadric,
    }[name](WIDTHS / 2)

    def found():
        return positive_shares(
            *(case.pairs(block_size) for case in sides),
            kernel.log_kernels(2.0),
            kernel.log_kernels(2.0, kernel.log_gradient_weight),
        )

    step = 1e-5
    for (share, slope), width in zip(
        contracts.in_one_program(found)(), WIDTHS, strict=True
    ):
        ends = [
            log_share_by_hand(PROFILES[name], width * np.exp(h), sides)
            for h in (-step, 0.0, step)
        ]
        close(share, ends[1], rtol=1e-4, atol=1e-5)
        close(slope, (ends[2] - ends[0]) / (2 * step), rtol=1e-3, atol=1e-5)
        assert np.abs(contracts.numpy(slope)).max() > 0.01


def test_a_side_without_points_has_no_share():
    x, y = ops.zeros((1, SAMPLES, 2)), ops.ones((1, 3, 2))
    kernel = kernels.Gaussian(1.0)
    present, absent = (
        Pairs(x, PointCloud(y, value * ops.ones((1, 3)))) for value in (1, 0)
    )
    for sides, expected in (
        ((present, absent), 0.0),
        ((absent, absent), np.log(0.5)),
    ):
        ((share, slope),) = positive_shares(
            *sides,
            kernel.log_kernels(),
            kernel.log_kernels(1.0, kernel.log_gradient_weight),
        )
        close(share, np.full((1, SAMPLES), expected))
        assert np.all(contracts.numpy(slope) == 0)
