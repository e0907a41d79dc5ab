import keras
import numpy as np
import pytest
from keras import ops
from scipy import integrate

import contracts
from keras_drift import kernels
from keras_drift.kernels import Gaussian
from keras_drift.kernels import InverseMultiquadric
from keras_drift.kernels import Laplacian
from keras_drift.kernels import Matern
from keras_drift.kernels import SphericalLogarithmic
from keras_drift.kernels import VonMisesFisher
from kernel_cases import ALL
from kernel_cases import RADII
from kernel_cases import VALUES
from kernel_cases import bessel_matern
from kernel_cases import companion
from kernel_cases import each_kernel
from kernel_cases import make
from kernel_cases import value


@each_kernel
def test_contract(name):
    contracts.check_kernel(*ALL[name])


@each_kernel
def test_value_is_the_closed_form(name):
    np.testing.assert_allclose(
        value(name, RADII), VALUES[name](RADII), rtol=3e-6
    )
    assert value(name, 0.0) == 1


@each_kernel
def test_distances_count_in_bandwidths(name):
    x, y = np.zeros((1, 2)), np.array([[3.0, 4.0]])  # 5 apart
    log = contracts.numpy(make(name, bandwidth=2.0)(x, y))
    np.testing.assert_allclose(np.exp(log), VALUES[name](2.5), rtol=1e-5)


@each_kernel
def test_slope_is_that_of_the_kernel(name):
    step = 1e-6
    slope = (VALUES[name](RADII + step) - VALUES[name](RADII - step)) / 2e-6
    radius = ops.convert_to_tensor(RADII, "float32")
    kernel = make(name)
    found = np.exp(contracts.numpy(kernel.log_slope(radius)).astype("d"))
    np.testing.assert_allclose(found, -slope / RADII, rtol=2e-5)
    pull = np.exp(
        contracts.numpy(kernel.log_gradient_weight(radius)).astype("d")
    )
    expected = -slope / RADII / VALUES[name](RADII)
    np.testing.assert_allclose(pull, expected, rtol=2e-5)


@each_kernel
def test_companion_pull_is_a_share_of_that_at_coincidence(name):
    integrals = [
        integrate.quad(lambda s: s * VALUES[name](s), r, np.inf)[0]
        for r in (0.0, *RADII)
    ]
    expected = integrals[0] * VALUES[name](RADII) / integrals[1:]
    radius = ops.convert_to_tensor(RADII, "float32")
    found = contracts.numpy(make(name).log_companion_weight(radius))
    np.testing.assert_allclose(np.exp(found), expected, rtol=1e-5)
    assert np.all(found <= 0)


def test_points_in_one_place_pull_nowhere_at_the_tip_of_a_laplacian():
    radius = ops.convert_to_tensor([0.0, 1e-15], "float32")
    for log in (
        Laplacian().log_slope(radius),
        Laplacian().log_gradient_weight(radius),
    ):
        np.testing.assert_array_equal(contracts.numpy(log), -np.inf)


@each_kernel
def test_companion_is_the_integral_of_s_k(name):
    expected = [
        integrate.quad(lambda s: s * VALUES[name](s), r, np.inf)[0]
        for r in RADII
    ]
    np.testing.assert_allclose(companion(name, RADII), expected, rtol=1e-5)


@each_kernel
def test_companion_falls_with_the_pull_of_the_kernel(name):
    r, step = np.array([0.1, 0.4, 1.0, 2.0, 4.0]), 0.02
    slope = (companion(name, r + step) - companion(name, r - step)) / (2 * step)
    np.testing.assert_allclose(-slope, r * VALUES[name](r), atol=5e-4)


# scikit-learn has closed forms up to 2.5, and Bessel functions beyond.
@pytest.mark.parametrize("nu", [0.5, 1.5, 2.5, 4.5, 10.5, 20.5])
def test_matern_is_that_of_scikit_learn(nu):
    reference = pytest.importorskip("sklearn.gaussian_process.kernels")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 6, 3))
    found = np.exp(contracts.numpy(Matern(0.7, nu=nu)(x, y)))
    expected = reference.Matern(0.7, nu=nu)(x, y)
    np.testing.assert_allclose(found, expected, rtol=3e-5)


@pytest.mark.parametrize("nu", [5.5, 13.5, 20.5])
def test_no_digits_are_lost_at_a_large_nu(nu):
    r = np.geomspace(1e-2, 300, 40)
    s = np.sqrt(2 * nu) * r
    kernel, radius = Matern(nu=nu), ops.convert_to_tensor(r, "float32")
    log_k, log_psi = bessel_matern(nu, s), bessel_matern(nu + 1, s)
    log_below = bessel_matern(nu - 1, s)
    gradient_weight = log_below - log_k + np.log(nu / (nu - 1))
    # Rounding is a share of the distance in both summands.
    for found, expected, atol in (
        (kernel.log_value(radius), log_k, 1e-6 * (1 + s)),
        (kernel.log_companion(radius), log_psi, 1e-6 * (1 + s)),
        (kernel.log_slope(radius), log_k + gradient_weight, 1e-6 * (1 + s)),
        (kernel.log_gradient_weight(radius), gradient_weight, 5e-6),
        (kernel.log_companion_weight(radius), log_k - log_psi, 5e-6),
    ):
        errors = np.abs(contracts.numpy(found) - expected)
        assert np.all(errors < atol + 1e-6 * np.abs(expected))


def test_a_large_nu_is_the_gaussian_of_the_same_bandwidth():
    r = ops.convert_to_tensor(np.linspace(0.05, 3, 20), "float32")
    xi = np.linspace(0, 3, 20)

    def quantities(kernel):
        return [
            np.exp(contracts.numpy(kernel.log_value(r))),
            np.exp(contracts.numpy(kernel.log_slope(r))),
            np.exp(contracts.numpy(kernel.log_companion(r))),
            *[kernel.spectrum(xi, dim) for dim in (1, 3)],
            *[kernel.companion_spectrum(xi, dim) for dim in (1, 3)],
        ]

    low, high, limit = (
        quantities(kernel)
        for kernel in (Matern(nu=10.5), Matern(nu=20.5), Gaussian())
    )
    for at_10, at_20, gaussian in zip(low, high, limit, strict=True):
        size = np.abs(gaussian).max()
        before, after = at_10 - gaussian, at_20 - gaussian
        # The error falls as one over nu.
        assert np.abs(after).max() < 2 / 20.5 * size
        assert np.abs(after).max() < 0.6 * np.abs(before).max()
        extrapolated = (20.5 * after - 10.5 * before) / 10
        assert np.abs(extrapolated).max() < 0.15 * np.abs(after).max()
    # The weight of a score tends to 1: at zero it is `nu / (nu - 1)`.
    weights = [
        contracts.numpy(Matern(nu=nu).log_gradient_weight(0.0 * r))
        for nu in (1.5, 20.5)
    ]
    np.testing.assert_allclose(np.exp(weights[0]), 3, rtol=1e-6)
    np.testing.assert_allclose(np.exp(weights[1]), 20.5 / 19.5, rtol=1e-6)


def test_laplacian_is_the_roughest_matern():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 5, 3))
    laplacian, matern = Laplacian([0.3, 2.0]), Matern([0.3, 2.0], nu=0.5)
    np.testing.assert_array_equal(
        contracts.numpy(laplacian(x, y)), contracts.numpy(matern(x, y))
    )
    assert "nu" not in laplacian.get_config()


@each_kernel
def test_extremes_stay_finite(name):
    bandwidths, distances = [1e-6, 1.0, 1e6], [0.0, 1e-6, 1.0, 1e6]
    kernel = make(name, bandwidth=bandwidths)
    distances = ops.convert_to_tensor(distances)
    logs = contracts.numpy(kernel.log_similarity(distances))
    radii = distances[None] / ops.convert_to_tensor(bandwidths)[:, None]
    companions = contracts.numpy(kernel.log_companion(radii))
    pulls = contracts.numpy(kernel.log_companion_weight(radii))
    assert np.all(np.isfinite(pulls) & (pulls <= 0))
    for values in (logs, companions):
        assert np.all(np.isfinite(values))
        assert np.all(np.diff(values, axis=0) >= 0)  # wider sees farther
        assert np.all(np.diff(values, axis=1) <= 0)


def test_a_new_bandwidth_needs_no_new_trace():
    traces = []

    class Similarity(keras.Model):
        def __init__(self, kernel):
            super().__init__()
            self.kernel = kernel

        def call(self, x):
            traces.append(None)
            return self.kernel(x, ops.zeros_like(x))

    kernel = Laplacian(2.0)
    model = Similarity(kernel)
    x = np.array([[[3.0, 4.0]]])

    def predict():
        before = len(traces)
        value = model.predict(x, verbose=0).item()
        return value, len(traces) - before

    predict()
    _, traces_of_a_repetition = predict()
    kernel.bandwidth.assign(10.0)
    value, traces_after_a_change = predict()
    assert value == -0.5
    assert traces_after_a_change == traces_of_a_repetition


def test_an_annealed_bandwidth_is_saved_and_not_part_of_the_config(tmp_path):
    x, y = keras.Input((4, 2)), keras.Input((3, 2))
    kernel = Gaussian([1.0, 2.0], name="kernel")
    model = keras.Model([x, y], kernel(x[:, :, :], y)[0])
    kernel.bandwidth.assign([0.25, 0.5])
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    restored = copy.get_layer("kernel")
    np.testing.assert_array_equal(
        contracts.numpy(restored.bandwidth), [0.25, 0.5]
    )
    np.testing.assert_array_equal(restored.initial_bandwidth, [1.0, 2.0])
    assert kernel.get_config()["bandwidth"] == [1.0, 2.0]


def test_bandwidth_is_not_trained():
    kernel = Gaussian([1.0, 2.0])
    assert kernel.trainable_variables == []
    assert len(kernel.non_trainable_variables) == 1


def test_mixed_precision_leaves_the_kernel_alone():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        kernel = Laplacian(0.5)
    finally:
        keras.config.set_dtype_policy("float32")
    x, y = np.full((1, 2), 1 / 3), np.full((1, 2), 1 / 7)
    logs = kernel(x, y)
    assert keras.backend.standardize_dtype(logs.dtype) == "float32"
    np.testing.assert_array_equal(
        contracts.numpy(logs), contracts.numpy(Laplacian(0.5)(x, y))
    )
    assert keras.backend.standardize_dtype(kernel.bandwidth.dtype) == "float32"


@pytest.mark.parametrize(
    "bandwidth",
    [0, 0.0, -1.0, float("nan"), float("inf"), [1.0, -1.0], 1e-60, 1e60],
)
def test_bandwidth_must_be_a_positive_length(bandwidth):
    with pytest.raises(
        ValueError, match=r"`bandwidth`.*positive and finite.*bandwidth="
    ):
        Laplacian(bandwidth)


@pytest.mark.parametrize(
    "bandwidth",
    ["wide", "1.0", ["1.0"], None, True, 1j, {"a": 1}, [[1], [1, 2]]],
)
def test_bandwidth_must_be_a_number(bandwidth):
    with pytest.raises(TypeError, match=r"`bandwidth`.*a number.*bandwidth="):
        Gaussian(bandwidth)


@pytest.mark.parametrize("bandwidth", [[], [[1.0]], np.ones((2, 2))])
def test_bandwidth_must_be_flat_and_not_empty(bandwidth):
    with pytest.raises(ValueError, match=r"flat sequence.*bandwidth="):
        Matern(bandwidth, nu=1.5)


@pytest.mark.parametrize(
    "bandwidth", [2, np.float32(2), np.array([2, 3]), (2, 3), range(2, 4)]
)
def test_bandwidth_may_be_any_kind_of_number(bandwidth):
    kernel = contracts.copy_of(Laplacian(bandwidth))
    np.testing.assert_array_equal(
        kernel.initial_bandwidth, np.asarray(bandwidth, "float32")
    )


@pytest.mark.parametrize(
    "nu", [0, 1, 0.7, 21.5, -0.5, True, "1.5", None, float("nan"), [0.5, 1.5]]
)
def test_nu_must_be_a_half_integer(nu):
    with pytest.raises(ValueError, match=r"`nu` must be a half-integer.*nu="):
        Matern(nu=nu)


def test_exponent_must_be_positive():
    for exponent in (0, -1.5, float("nan")):
        with pytest.raises(ValueError, match=r"`exponent`.*exponent="):
            InverseMultiquadric(exponent=exponent)
    with pytest.raises(TypeError, match=r"`exponent`.*exponent='1'"):
        InverseMultiquadric(exponent="1")


@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_a_companion_that_does_not_exist_says_so(exponent):
    kernel = InverseMultiquadric(exponent=exponent)
    message = rf"`exponent` above 1. Received: exponent={exponent}"
    with pytest.raises(ValueError, match=message):
        kernel.log_companion(ops.ones(()))
    with pytest.raises(ValueError, match=message):
        kernel.companion_spectrum(1.0, 1)


def test_an_exponent_of_numpy_survives_json():
    kernel = contracts.copy_of(InverseMultiquadric(exponent=np.float32(2.5)))
    assert kernel.exponent == 2.5


# As the papers write them, section 5.4, divided by the value at angle zero.
ON_THE_SPHERE = {
    VonMisesFisher: lambda cosine, b: np.exp((cosine - 1) / b**2),
    SphericalLogarithmic: lambda cosine, b: (
        np.log((2 + b**2 / 2) / (1 - cosine + b**2 / 2))
        / np.log((2 + b**2 / 2) / (b**2 / 2))
    ),
}
each_sphere = pytest.mark.parametrize("cls", ON_THE_SPHERE)


@each_sphere
def test_contract_of_a_spherical_kernel(cls):
    contracts.check_kernel(cls, {})


@each_sphere
def test_a_spherical_kernel_compares_directions(cls):
    x, y = np.random.default_rng(0).normal(size=(2, 5, 3))
    cosines = (x / np.linalg.norm(x, axis=-1, keepdims=True)) @ (
        y / np.linalg.norm(y, axis=-1, keepdims=True)
    ).T
    for bandwidth in (0.3, 2.0):
        found = np.exp(contracts.numpy(cls(bandwidth)(x, y)))
        expected = ON_THE_SPHERE[cls](cosines, bandwidth)
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-7)


@each_sphere
def test_the_antipode_stays_finite(cls):
    for bandwidth in (1e-3, 1.0):
        logs = contracts.numpy(cls(bandwidth)(X_AND_ANTIPODE, X_AND_ANTIPODE))
        assert np.all(np.isfinite(logs))


X_AND_ANTIPODE = np.array([[0.6, 0.8], [-1.2, -1.6]])


class Step(kernels.Kernel):
    """A kernel that forgot its formulas."""


def test_a_kernel_without_formulas_names_what_to_write():
    kernel = Step()
    with pytest.raises(NotImplementedError, match=r"`Step`.*`log_value"):
        kernel.log_value(0.0)
    with pytest.raises(NotImplementedError, match=r"`Step`.*log_companion"):
        kernel.log_companion(0.0)
    with pytest.raises(NotImplementedError, match=r"`Step`.*spectrum"):
        kernel.spectrum(0.0, 1)
    with pytest.raises(NotImplementedError, match=r"`Step`.*log_slope"):
        kernel.log_slope(0.0)
    with pytest.raises(NotImplementedError, match=r"`Step`.*companion_sp"):
        kernel.companion_spectrum(0.0, 1)


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("gaussian", Gaussian),
        ("laplacian", Laplacian),
        ("matern", Matern),
        ("inverse_multiquadric", InverseMultiquadric),
        ("von_mises_fisher", VonMisesFisher),
        ("spherical_logarithmic", SphericalLogarithmic),
    ],
)
def test_get_knows_every_kernel_by_name(name, cls):
    assert type(kernels.get(name)) is cls
    assert cls.__name__ in kernels.__all__


def test_get_takes_a_kernel_or_its_config():
    kernel = Matern([1.0, 2.0], nu=2.5)
    assert kernels.get(kernel) is kernel
    config = keras.saving.serialize_keras_object(kernel)
    assert kernels.get(config).get_config() == kernel.get_config()


def test_get_suggests_what_was_meant():
    with pytest.raises(
        ValueError,
        match=r"Unknown kernel 'laplace'. Did you mean 'laplacian'\? "
        "Known names: gaussian, inverse_multiquadric, laplacian, matern, "
        "spherical_logarithmic, von_mises_fisher",
    ):
        kernels.get("laplace")
    with pytest.raises(TypeError, match=r"`kernel` is a .*Kernel`.*kernel=3"):
        kernels.get(3)


SLOPED = [*ALL, "inverse multiquadric 0.5"]


@pytest.mark.parametrize("name", SLOPED)
def test_slope_is_the_derivative_over_the_distance(name):
    if name in ALL:
        kernel, profile = make(name), VALUES[name]
    else:  # no companion, but a slope
        kernel, profile = (
            InverseMultiquadric(exponent=0.5),
            lambda r: (1 + r**2) ** -0.5,
        )
    radius, step = np.array([0.01, 0.3, 1.0, 2.5, 6.0]), 1e-4
    rise = profile(radius + step) - profile(radius - step)
    found = kernel.log_slope(ops.convert_to_tensor(radius, "float32"))
    np.testing.assert_allclose(
        np.exp(contracts.numpy(found)), -rise / (2 * step * radius), rtol=2e-5
    )


@each_kernel
def test_slope_scores_know_their_bandwidths(name):
    kernel = make(name, bandwidth=[0.5, 2.0])
    distance = ops.convert_to_tensor([0.3, 3.0], "float32")
    for score, width in zip(
        kernel.log_kernels(4.0, kernel.log_slope), (2.0, 8.0), strict=True
    ):
        expected = contracts.numpy(make(name).log_slope(distance / width))
        found = contracts.numpy(score(distance))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_coincident_points_do_not_pull_even_where_the_tip_is_sharp():
    slope = Laplacian().log_slope(ops.convert_to_tensor([0.0, 1e-6, 1e6]))
    found = np.exp(contracts.numpy(slope).astype("float64"))
    np.testing.assert_allclose(found, [0, 1e6, 0], rtol=1e-4)


def test_a_kernel_without_a_slope_says_what_to_write():
    with pytest.raises(NotImplementedError, match=r"`log_slope\(radius\)`"):
        kernels.Kernel().log_slope(1.0)
