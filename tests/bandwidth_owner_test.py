import json

import h5py
import keras
import numpy as np
import pytest

from contracts import compiled
from contracts import copy_of
from contracts import numpy
from keras_drift import backend
from keras_drift import drifts
from keras_drift import energies
from keras_drift import kernels
from keras_drift import spectral

X = np.random.default_rng(0).normal(size=(6, 2)).astype("float32")
OWNERS = {
    "gaussian": lambda value: kernels.Gaussian(value),
    "laplacian": lambda value: kernels.Laplacian(value),
    "matern": lambda value: kernels.Matern(value, nu=2.5),
    "inverse_multiquadric": lambda value: kernels.InverseMultiquadric(value),
    "von_mises_fisher": lambda value: kernels.VonMisesFisher(value),
    "spherical_logarithmic": lambda value: kernels.SphericalLogarithmic(value),
    "sinkhorn_drift": lambda value: drifts.SinkhornDrift(
        value, self_interaction="excluded"
    ),
    "sinkhorn_divergence": lambda value: energies.SinkhornDivergence(value),
    "smoothed_kl": lambda value: energies.SmoothedKL(value),
    "smoothed_f_divergence": lambda value: energies.SmoothedFDivergence(
        bandwidth=value
    ),
}


@pytest.fixture(params=sorted(OWNERS))
def make(request):
    return OWNERS[request.param]


def test_auto_raises_wherever_it_is_used(make):
    owner = make("auto")
    name = owner.bandwidth_name
    message = rf"(?s)adapt\(data\).*{name}='auto'"
    uses = [
        lambda: owner(X, X[:4]),
        lambda: compiled(make("auto"), X, X),
        lambda: owner.bandwidth,
        lambda: owner.initial_bandwidth,
    ]
    if isinstance(owner, kernels.Kernel):
        uses += [owner.widths, owner.log_kernels]
        assert owner.num_bandwidths == 2
    for use in uses:
        with pytest.raises(ValueError, match=message):
            use()


def test_auto_survives_its_config(make):
    owner = make("auto")
    copy = copy_of(owner)
    assert copy.needs_adapt
    assert copy.get_config() == owner.get_config()
    assert copy.get_config()[owner.bandwidth_name] == "auto"


def values(owner):
    is_kernel = isinstance(owner, kernels.Kernel)
    return [0.7, 0.7 / 4] if is_kernel else 0.7


def test_once_set_it_is_as_if_constructed_with_the_value(make):
    owner = make("auto")
    owner.set_initial_bandwidth(0.7)
    assert not owner.needs_adapt
    # A kernel has two, as in the plans for training.
    expected = make(values(owner))
    np.testing.assert_array_equal(
        owner.initial_bandwidth, expected.initial_bandwidth
    )
    without = [
        {k: v for k, v in each.get_config().items() if k != "name"}
        for each in (owner, expected)
    ]
    assert without[0] == without[1]
    np.testing.assert_array_equal(
        numpy(owner(X, X[:4])), numpy(expected(X, X[:4]))
    )
    np.testing.assert_array_equal(
        numpy(copy_of(owner)(X, X[:4])), numpy(expected(X, X[:4]))
    )


def test_sets_the_initial_and_the_current_value(make):
    owner = make(0.5)
    owner.bandwidth.assign(0.1)
    owner.set_initial_bandwidth(2.0)
    assert float(owner.bandwidth) == owner.initial_bandwidth == 2.0
    json.dumps(owner.get_config())


def test_several_bandwidths_keep_their_ratios():
    kernel = kernels.Gaussian([0.1, 0.4])
    kernel.set_initial_bandwidth(2.0)
    np.testing.assert_allclose(kernel.initial_bandwidth, [0.5, 2.0])
    np.testing.assert_allclose(numpy(kernel.bandwidth), [0.5, 2.0])
    np.testing.assert_allclose(copy_of(kernel).initial_bandwidth, [0.5, 2.0])


def test_weights_that_are_set_are_a_bandwidth(make):
    trained = make("auto")
    trained.set_initial_bandwidth(0.7)
    owner = make("auto")
    owner.set_weights(trained.get_weights())
    np.testing.assert_array_equal(
        owner.initial_bandwidth, trained.initial_bandwidth
    )
    assert not owner.needs_adapt
    # Those of one that was not adapted are none.
    owner = make("auto")
    owner.set_weights(make("auto").get_weights())
    with pytest.raises(ValueError, match="not adapted yet"):
        owner.require_bandwidth()


def test_refuses_other_words(make):
    with pytest.raises(TypeError, match=r"'auto'.*='automatic'"):
        make("automatic")


def test_drifts_pass_the_error_on():
    parts = [
        drifts.KernelDrift(kernels.Gaussian("auto")),
        drifts.MMDDrift(kernels.Gaussian("auto"), relative=True),
        drifts.FDivergenceDrift(kernel=kernels.Gaussian("auto")),
        drifts.VariationalDrift(energies.MMD(kernels.Gaussian("auto"))),
        drifts.Lookahead(drifts.KernelDrift(kernels.Laplacian("auto"))),
        drifts.Sum(["kernel_drift", OWNERS["sinkhorn_drift"]("auto")]),
    ]
    for drift in parts:
        for use in (
            lambda drift=drift: drift(X, X),
            drift.require_bandwidth,
            lambda drift=drift: drift.anneal(0.1),
        ):
            with pytest.raises(ValueError, match="not adapted yet"):
                use()
        keras.saving.serialize_keras_object(drift)
    for use in (spectral.dispersion, spectral.convergence_time):
        with pytest.raises(ValueError, match="not adapted yet"):
            use(kernels.Gaussian("auto"), 1.0, dim=1)


@pytest.mark.parametrize(
    "drift",
    [
        drifts.SinkhornDrift(1.0, cost="distance"),
        drifts.VariationalDrift(energies.SinkhornDivergence(1.0)),
        drifts.VariationalDrift(energies.SmoothedKL(1.0)),
        drifts.VariationalDrift(energies.MMD(kernels.Gaussian(1.0))),
        drifts.Sum([drifts.SinkhornDrift(1.0)]),
    ],
    ids=lambda drift: type(drift).__name__,
)
def test_a_compiled_step_anneals_it(drift):
    # Nothing may create a variable there, as a new kernel would.
    def anneal(width):
        drift.anneal(width)
        return width

    step = backend.jit(anneal, drift.variables)
    for width in (0.5, 0.25):
        step(np.float32(width))
        assert float(np.max(numpy(drift.bandwidth))) == pytest.approx(width)


def test_files_hold_a_bandwidth_once(tmp_path):
    # Keras walks through all attributes: none may lead to a second copy.
    for drift in (
        drifts.SinkhornDrift(0.3),
        drifts.KernelDrift(kernels.Gaussian(0.3)),
        drifts.VariationalDrift(energies.SinkhornDivergence(0.3)),
        drifts.Lookahead(drifts.KernelDrift(kernels.Gaussian(0.3))),
        drifts.Sum([drifts.SinkhornDrift(0.3)]),
    ):
        model = keras.Sequential([keras.Input((2,)), Holder(drift)])
        path = tmp_path / "model.weights.h5"
        model.save_weights(path)
        with h5py.File(path) as file:
            stored = datasets_in(file)
        assert len(stored) == 1
        assert not any("part" in name for name in stored)


def datasets_in(group, path=""):
    """The paths of all arrays in an HDF5 file."""
    if isinstance(group, h5py.Dataset):
        return [path]
    return [
        found
        for name, item in group.items()
        for found in datasets_in(item, f"{path}/{name}")
    ]


class Holder(keras.layers.Layer):
    """A layer that owns a drift."""

    def __init__(self, drift):
        super().__init__()
        self.drift = drift

    def call(self, x):
        return x
