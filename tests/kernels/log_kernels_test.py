"""The description of a log-kernel says what its function computes."""

import math

import numpy as np
import pytest
from keras import ops
from scipy import integrate

import contracts
from keras_drift import kernels
from keras_drift.ops import LogKernel
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import half_squared_distances
from keras_drift.ops import sinkhorn

KERNELS = [
    kernels.Gaussian([0.6, 1.5]),
    kernels.Laplacian([0.6, 1.5]),
    kernels.Matern([0.6, 1.5], nu=0.5),
    kernels.Matern([0.6, 1.5], nu=1.5),
    kernels.Matern([0.6, 1.5], nu=6.5),
    kernels.InverseMultiquadric([0.6, 1.5], exponent=2.5),
    kernels.VonMisesFisher([0.6, 1.5]),
    kernels.SphericalLogarithmic([0.6, 1.5]),
]
QUANTITIES = (
    "value",
    "slope",
    "gradient_weight",
    "companion",
    "companion_weight",
)
LENGTH_SCALE = 1.3
DISTANCES = np.array([0.1, 0.5, 1.0, 1.7])


def profile(family, parameters, rate):
    """`k(r)` in float64, from the description alone."""
    if family in ("gaussian", "von_mises_fisher"):
        return lambda r: np.exp(-(r**2) / 2)
    if family == "laplacian":
        return lambda r: np.exp(-r)
    if family == "inverse_multiquadric":
        return lambda r: (1 + r**2) ** -parameters["exponent"]
    if family == "spherical_logarithmic":
        a = 4 * rate**2
        return lambda r: np.log((1 + a) / (1 + r**2)) / np.log(1 + a)
    assert family == "matern"
    p = round(parameters["nu"] - 0.5)
    coefficients = [
        2**k * math.comb(p, k) * math.factorial(2 * p - k)
        / math.factorial(2 * p)
        for k in range(p + 1)
    ]  # fmt: skip
    scale = np.sqrt(2 * parameters["nu"])
    return lambda r: (
        np.polyval(coefficients[::-1], scale * r) * np.exp(-scale * r)
    )


def evaluate(static, rate, distance):
    """What the description promises, by differences and quadrature."""
    family, quantity, parameters = static
    k = profile(family, dict(parameters), rate)
    r, step = rate * distance, 1e-5
    slope = -(k(r + step) - k(r - step)) / (2 * step * r)

    def psi(r):
        return integrate.quad(lambda s: s * k(s), r, np.inf)[0]

    if quantity == "companion":
        return np.log([psi(each) for each in r])
    if quantity == "companion_weight":
        return np.log(psi(0) * k(r) / [psi(each) for each in r])
    return np.log(
        {"value": k(r), "slope": slope, "gradient_weight": slope / k(r)}[
            quantity
        ]
    )


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: f"{type(k).__name__}")
def test_the_description_alone_gives_the_values(kernel, quantity):
    if kernel.family == "spherical_logarithmic" and "comp" in quantity:
        pytest.skip("has no companion in closed form")
    method = getattr(kernel, f"log_{quantity}")
    described = kernel.log_kernels(LENGTH_SCALE, method)
    assert len(described) == 2
    for log_kernel, width in zip(described, (0.6, 1.5), strict=True):
        family, name, parameters = log_kernel.static
        assert (family, name) == (type(kernel).family, quantity)
        assert isinstance(hash(log_kernel.static), int)
        assert all(type(value) is float for _, value in parameters)
        rate = float(ops.convert_to_numpy(log_kernel.rate))
        np.testing.assert_allclose(rate, 1 / (width * LENGTH_SCALE), rtol=1e-6)
        distance = ops.convert_to_tensor(DISTANCES, "float32")
        np.testing.assert_allclose(
            contracts.numpy(log_kernel(distance)),
            evaluate(log_kernel.static, rate, DISTANCES),
            rtol=1e-5,
            atol=1e-5,
        )


def test_the_value_is_the_default():
    (log_kernel,) = kernels.Matern(nu=2.5).log_kernels()
    assert log_kernel.static == ("matern", "value", (("nu", 2.5),))


def test_a_log_kernel_is_immutable():
    (log_kernel,) = kernels.Gaussian().log_kernels()
    with pytest.raises(AttributeError, match="family"):
        log_kernel.family = "laplacian"


class Steeper(kernels.Gaussian):
    """A kernel of its own, whose formula no program knows."""

    def log_value(self, radius):
        return -radius * radius


def test_another_formula_is_not_described():
    (log_kernel,) = Steeper().log_kernels()
    assert log_kernel.static is None
    assert float(log_kernel(ops.ones(()))) == -1
    kernel = kernels.Matern(0.5, nu=1.5)
    (log_kernel,) = kernel.log_kernels(1.0, lambda radius: 3.0 * radius)
    assert log_kernel.static is None
    assert float(log_kernel(ops.ones(()))) == 6
    # A method of another kernel is no method of this one.
    (log_kernel,) = kernel.log_kernels(1.0, kernels.Gaussian().log_value)
    assert log_kernel.static is None
    assert float(log_kernel(ops.ones(()))) == -2


def test_a_subclass_of_a_matern_keeps_its_own_formula():
    class Doubled(kernels.Matern):
        def log_value(self, radius):
            return 2.0 * radius

    (log_kernel,) = Doubled(0.5, nu=2.5).log_kernels()
    assert log_kernel.static is None
    assert float(log_kernel(ops.ones(()))) == 4


def test_a_transport_plan_describes_its_kernel():
    x = ops.convert_to_tensor(np.zeros((1, 2, 1)), "float32")
    pairs = Pairs(x, PointCloud(x), half_squared_distances)
    log_kernel = sinkhorn(pairs, 0.25, 0).log_kernel
    assert isinstance(log_kernel, LogKernel)
    assert log_kernel.static == ("gibbs", "value", ())
    assert log_kernel.rate == 4
    assert log_kernel(3.0) == -12
