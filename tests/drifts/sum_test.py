import numpy as np
import pytest

import contracts
from keras_drift import DriftModel
from keras_drift import callbacks
from keras_drift import datasets
from keras_drift import drifts
from keras_drift import generators
from keras_drift import kernels
from keras_drift import schedules
from keras_drift.drifts import Sum


def members(**options):
    return [
        drifts.KernelDrift(kernels.Laplacian([0.5, 2.0]), **options),
        drifts.EnergyDistanceDrift(**options),
        drifts.MMDDrift(kernels.Gaussian(0.8), **options),
    ]


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(2, size, 3)) for size in (5, 7, 6)]


def field(drift, *clouds, **options):
    found = contracts.in_one_program(drift.field)(*clouds, **options)
    return [contracts.numpy(part) for part in found]


def test_adds_weighted_velocities_and_lists_the_norms(clouds):
    weights = [0.5, 2.0, 0.0]
    options = {"unconditional": clouds[2] + 0.5}
    parts = [field(drift, *clouds, **options) for drift in members()]
    velocity, length_scale, norm = field(
        Sum(members(), weights), *clouds, **options
    )
    expected = sum(w * part[0] for w, part in zip(weights, parts, strict=True))
    np.testing.assert_allclose(velocity, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(length_scale, parts[0][1], rtol=1e-5)
    norms = np.concatenate([part[2] for part in parts])
    np.testing.assert_allclose(norm, norms, rtol=1e-5)
    assert norm.shape == (4,)


def test_weights_are_ones_by_default_and_one_is_the_drift_itself(clouds):
    drift = members()[2]
    velocity = field(Sum([drift]), *clouds)[0]
    np.testing.assert_allclose(velocity, field(drift, *clouds)[0], rtol=1e-5)


def test_anneals_all_that_have_a_bandwidth_and_keeps_their_ratios():
    parts = members()
    drift = Sum(parts)
    np.testing.assert_allclose(drift.initial_bandwidth, [0.5, 2.0, 0.8])
    drift.anneal(1.0)
    np.testing.assert_allclose(
        contracts.numpy(drift.bandwidth), [0.25, 1.0, 0.4], rtol=1e-6
    )
    np.testing.assert_allclose(contracts.numpy(parts[2].bandwidth), 0.4)


def test_without_any_bandwidth_there_is_nothing_to_anneal():
    drift = Sum(["energy_distance_drift"])
    assert drift.bandwidth is None
    assert drift.initial_bandwidth is None
    with pytest.raises(
        ValueError, match=r"Only a drift with a bandwidth.*drift=Sum"
    ):
        drift.anneal(1.0)


def test_its_bandwidth_follows_a_schedule_and_is_saved(tmp_path):
    drift = Sum(["kernel_drift", "energy_distance_drift", "mmd_drift"])
    model = DriftModel(generators.MLP(2, hidden_dims=(8,)), drift, seed=0)
    model.compile("adam")
    schedule = schedules.ExponentialAnnealing(1.0, 0.5, rate=10.0)
    history = model.fit(
        datasets.two_moons(64, seed=0),
        batch_size=32,
        epochs=2,
        verbose=0,
        callbacks=[callbacks.BandwidthAnnealing(schedule)],
    )
    assert history.history["bandwidth"][-1] == pytest.approx(0.5)
    model.save_weights(tmp_path / "model.weights.h5")
    other = DriftModel(
        generators.MLP(2, hidden_dims=(8,)), contracts.copy_of(drift), seed=0
    )
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(
        contracts.numpy(other.drift.bandwidth), [0.5, 0.5]
    )


def test_members_agree_on_who_repels():
    drift = Sum(members(self_interaction="independent"))
    assert drift.self_interaction == "independent"
    with pytest.raises(ValueError, match=r"one `self_interaction`.*'excluded'"):
        Sum([*members(self_interaction="independent"), "mmd_drift"])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([],), ValueError, r"at least one drift. Received: drifts=\[\]"),
        (
            ("mmd_drift",),
            ValueError,
            r"at least one drift. Received: drifts='mmd_drift'",
        ),
        ((["mdm_drift"],), ValueError, r"Did you mean 'mmd_drift'\?"),
        (
            (["mmd_drift"], [1, 2]),
            ValueError,
            r"one weight.*1 drifts, weights=",
        ),
        ((["mmd_drift"], [-1.0]), ValueError, r"`weights`.*=-1.0"),
        ((["mmd_drift"], ["a"]), TypeError, r"`weights`.*='a'"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        Sum(*arguments)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda drift: Sum([drift, contracts.copy_of(drift)]),
        drifts.Lookahead,
    ],
)
def test_guidance_is_that_of_the_drifts_inside(wrap):
    inside = drifts.KernelDrift(guidance_mode="velocity")
    drift = wrap(inside)
    assert drift.guidance_mode == "velocity"
    assert contracts.copy_of(drift).guidance_mode == "velocity"
    with pytest.raises(ValueError, match="one `guidance_mode`"):
        Sum([inside, "kernel_drift"])
    with pytest.raises(ValueError, match="unit_rms"):
        Sum([inside], unit_rms=True)


def test_a_drift_or_its_kernel_twice_is_refused():
    """Files would hold its bandwidth once, and a copy has it twice."""
    drift = drifts.KernelDrift()
    without_variables = drifts.EnergyDistanceDrift()
    for pair in ([drift, drift], [without_variables, without_variables]):
        with pytest.raises(ValueError, match=r"(share|twice).*Create a drift"):
            Sum(pair)
    shared = [drifts.KernelDrift(drift.kernel), drifts.MMDDrift(drift.kernel)]
    with pytest.raises(ValueError, match=r"`drifts` share the variable"):
        Sum(shared)
