import keras
import numpy as np
import pytest

import golden
from contracts import numpy
from keras_drift import PowerLawGuidance
from keras_drift.training.drift_objective import unconditional_weights


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


def test_agrees_with_the_official_release():
    released = np.load(golden.find("cfg.npz"))
    for (low, high, power), expected in zip(
        released["cfg_params"], released["cfg"], strict=True
    ):
        if high <= low:
            continue
        law = PowerLawGuidance(float(low), float(high), float(power))
        np.testing.assert_allclose(
            law.quantile(released["frac"].astype("float64")),
            expected,
            rtol=1e-5,
        )


def test_drops_guidance_as_the_official_release_does(monkeypatch):
    released = np.load(golden.find("cfg.npz"))
    low, high, power = released["cfg_params"][1]
    for fraction, expected in zip(
        released["no_cfg_frac"], released["cfg_after_drop"], strict=True
    ):
        law = PowerLawGuidance(low, high, power, plain_fraction=fraction)
        draws = iter([released["frac"], released["frac2"]])
        monkeypatch.setattr(
            keras.random,
            "uniform",
            lambda *args, **kwargs: keras.ops.convert_to_tensor(next(draws)),  # noqa: B023
        )
        scales = law.sample((len(released["frac"]),), seed=0)
        np.testing.assert_allclose(numpy(scales), expected, rtol=1e-5)


def test_weights_of_unconditional_data_are_those_of_the_official_release():
    released = np.load(golden.find("cfg.npz"))
    scales = keras.ops.convert_to_tensor(released["cfg"][1])
    for i, generated in enumerate(released["gen_per_label"]):
        for j, count in enumerate(released["n_uncond"]):
            # None counts as one there, and has no weights here.
            count = max(int(count), 1)
            weights = numpy(
                unconditional_weights(scales, int(generated), count, "excluded")
            )
            assert weights.shape == (len(scales), count)
            expected = np.repeat(released["uncond_w"][i, j][:, None], count, 1)
            np.testing.assert_allclose(weights, expected, rtol=1e-5)


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


@pytest.mark.parametrize(
    ("self_interaction", "negatives"),
    [("excluded", 5), ("included", 6), ("independent", 6)],
)
def test_unconditional_data_have_the_fraction_of_the_scale(
    self_interaction, negatives
):
    scales = np.array([1.0, 1.5, 4.0], "float32")
    weights = numpy(
        unconditional_weights(
            keras.ops.convert_to_tensor(scales), 6, 3, self_interaction
        )
    )
    mass = weights.sum(axis=1)
    np.testing.assert_allclose(mass / (mass + negatives), 1 - 1 / scales)
