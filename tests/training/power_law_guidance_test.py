import pathlib

import keras
import numpy as np
import pytest

from keras_drift import PowerLawGuidance

GOLDEN = pathlib.Path(__file__).parents[3] / "shared/golden/cfg.npz"


@pytest.mark.parametrize("power", [0, 1, 3, 5.5])
def test_density_is_the_power_law(power):
    law = PowerLawGuidance(1.0, 4.0, power)
    shares = np.linspace(0.01, 0.99, 99)
    scales = law.quantile(shares)
    # The cumulative distribution, integrated from the density.
    grid = np.linspace(1.0, 4.0, 200001)
    density = grid ** -float(power)
    below = np.cumsum(density) / density.sum()
    np.testing.assert_allclose(
        np.interp(scales, grid, below), shares, atol=1e-4
    )


def test_samples_are_within_bounds_and_some_are_one():
    law = PowerLawGuidance(1.5, 2.0, plain_fraction=0.25)
    scales = keras.ops.convert_to_numpy(law.sample((4000,), seed=0))
    plain = scales == 1
    assert plain.mean() == pytest.approx(0.25, abs=0.03)
    assert np.all((scales[~plain] >= 1.5) & (scales[~plain] <= 2.0))


@pytest.mark.skipif(not GOLDEN.exists(), reason="needs the golden data")
def test_agrees_with_the_official_release():
    golden = np.load(GOLDEN)
    for (low, high, power), expected in zip(
        golden["cfg_params"], golden["cfg"], strict=True
    ):
        if high <= low:
            continue
        law = PowerLawGuidance(float(low), float(high), float(power))
        np.testing.assert_allclose(
            law.quantile(golden["frac"].astype("float64")), expected, rtol=1e-5
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"low": 0.5}, "at least 1"),
        ({"low": 2.0, "high": 2.0}, "`high` above `low`"),
        ({"power": -1}, "`power`"),
        ({"plain_fraction": 1.5}, "from 0 to 1"),
    ],
)
def test_names_a_wrong_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        PowerLawGuidance(**arguments)
