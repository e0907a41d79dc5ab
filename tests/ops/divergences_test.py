import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift.ops import f_divergence

U = np.array([0.02, 0.3, 0.8, 1.0, 1.7, 9.0, 60.0])
# The table of papers.md 5.1.
WEIGHTS = {
    "kl_qp": lambda u: np.ones_like(u),
    "kl_pq": lambda u: 1 / u,
    "chi2": lambda u: u,
    "hellinger": lambda u: u**-0.5 / 2,
    "jensen_shannon": lambda u: 1 / (2 * (1 + u)),
    "neyman": lambda u: u**-2,
    1.0: lambda u: np.ones_like(u),
    0: lambda u: 1 / u,
    0.5: lambda u: u**-0.5,
    2.5: lambda u: u**1.5,
    -1: lambda u: u**-2,
}
# As the literature prints them, up to a multiple of `u - 1`, of mean zero.
VALUES = {
    "kl_qp": lambda u: u * np.log(u),
    "kl_pq": lambda u: -np.log(u),
    "chi2": lambda u: (u - 1) ** 2 / 2,
    "hellinger": lambda u: (np.sqrt(u) - 1) ** 2,
    "jensen_shannon": lambda u: (
        (u * np.log(2 * u / (1 + u)) + np.log(2 / (1 + u))) / 2
    ),
    "neyman": lambda u: (u - 1) ** 2 / (2 * u),
}
MIXTURE = {"kl_pq": 0.5, "chi2": 0.3, "jensen_shannon": 0.2}


def tensor(values):
    return ops.convert_to_tensor(values, "float32")


def value(divergence, u):
    parts = f_divergence(divergence).integrand(tensor(np.log(u)))
    return contracts.numpy(parts).astype("d") * (1 + u)


def weight(divergence, u):
    logs = f_divergence(divergence).log_weight(tensor(np.log(u)))
    return np.exp(contracts.numpy(logs))


@pytest.mark.parametrize("divergence", WEIGHTS)
def test_weights_are_those_of_the_table(divergence):
    expected = WEIGHTS[divergence](U)
    np.testing.assert_allclose(weight(divergence, U), expected, rtol=1e-5)


@pytest.mark.parametrize("divergence", VALUES)
def test_values_are_those_of_the_literature(divergence):
    # Without the slope at 1, by differences.
    f, step = VALUES[divergence], 1e-5
    slope = (f(1 + step) - f(1 - step)) / (2 * step)
    expected = f(U) - slope * (U - 1)
    found = value(divergence, U)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("divergence", [*WEIGHTS, MIXTURE], ids=str)
def test_weight_is_u_times_the_second_derivative_of_the_value(divergence):
    u = np.array([0.3, 0.8, 1.7, 4.0])
    step = 0.05 * u
    ends = [value(divergence, u + k * step) for k in (-1, 0, 1)]
    second = (ends[0] - 2 * ends[1] + ends[2]) / step**2
    np.testing.assert_allclose(weight(divergence, u), u * second, rtol=2e-2)


@pytest.mark.parametrize("divergence", [*WEIGHTS, MIXTURE], ids=str)
def test_values_are_zero_at_one_and_positive_elsewhere(divergence):
    found = value(divergence, U)
    np.testing.assert_allclose(found[3], 0, atol=1e-6)
    assert np.all(np.delete(found, 3) > 0)


def test_a_mixture_is_the_sum_of_its_shares():
    for function, table in ((weight, WEIGHTS), (value, None)):
        expected = sum(
            share * (table[name](U) if table else value(name, U))
            for name, share in MIXTURE.items()
        )
        np.testing.assert_allclose(function(MIXTURE, U), expected, rtol=1e-5)


def test_a_mixture_of_equal_parts_never_falls_below_the_plain_weight():
    u = np.exp(np.linspace(-5, 5, 41))
    assert np.all(weight({"kl_pq": 0.5, "chi2": 0.5}, u) >= 1 - 1e-6)


def test_a_share_of_zero_is_absent():
    np.testing.assert_array_equal(
        weight({"kl_pq": 1.0, "chi2": 0.0}, U), weight("kl_pq", U)
    )


@pytest.mark.parametrize(
    ("divergence", "error", "message"),
    [
        ("kl", ValueError, r"`divergence` must be one of .*divergence='kl'"),
        ("chi", ValueError, r"Did you mean 'chi2'\?"),
        (float("nan"), ValueError, r"must be finite.*divergence=nan"),
        (None, TypeError, r"a name, a number alpha or a dict.*=None"),
        (True, TypeError, r"a name, a number alpha or a dict.*=True"),
        ({"chi2": 0.5}, ValueError, r"must sum to 1.*sum to 0.5"),
        ({}, ValueError, r"must sum to 1"),
        ({"chi2": 2, "kl_pq": -1}, ValueError, r"is a share.*=-1"),
        ({"chi3": 1.0}, ValueError, r"Did you mean 'chi2'\?"),
    ],
)
def test_bad_divergences(divergence, error, message):
    with pytest.raises(error, match=message):
        f_divergence(divergence)
