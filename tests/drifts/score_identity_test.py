"""The accuracy that the theory promises, as the reproduction measures it."""

import runpy
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "reproduce"
SEEDS = range(16)


@pytest.fixture(scope="module")
def reproduction():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)  # the scripts share a module
        return runpy.run_path(str(FOLDER / "score_identity.py"))


def test_the_drift_of_a_thousand_samples_is_near_the_score(reproduction):
    assert reproduction["mean_error"](1000, seed=0, num_queries=64) < 0.06


@pytest.mark.slow
def test_the_error_falls_like_one_over_the_root_of_the_samples(reproduction):
    sizes = reproduction["SIZES"]
    errors = [
        np.mean([reproduction["mean_error"](size, seed) for seed in SEEDS])
        for size in sizes
    ]
    assert sizes[-1] == 50_000
    assert errors[-1] <= 4.9e-3
    assert reproduction["slope"](sizes, errors) == pytest.approx(-0.5, abs=0.05)
