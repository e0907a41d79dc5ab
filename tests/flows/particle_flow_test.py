import numpy as np
import pytest

import contracts
from keras_drift import drifts
from keras_drift import energies
from keras_drift import kernels
from keras_drift import metrics
from keras_drift import schedules
from keras_drift.flows import ParticleFlow

rng = np.random.default_rng(0)
START = rng.normal(size=(12, 2)).astype("float32")
DATA = (0.5 * rng.normal(size=(16, 2)) + [1.5, 0.0]).astype("float32")


@pytest.mark.parametrize(
    ("energy", "step_size"),
    [
        (energies.SmoothedKL(0.7, num_nodes=49), 0.2),
        (energies.SmoothedFDivergence("jensen_shannon", 0.7, 49), 0.5),
        (energies.SinkhornDivergence(0.5**0.5, num_steps=20), 0.3),
        (energies.MMD(kernels.Gaussian(1.0)), 0.3),
        (energies.MMD("negative_distance"), 0.1),
        (energies.SlicedWasserstein(16), 0.5),
        (energies.FrechetDistance(), 0.3),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_energy_falls_all_the_way(energy, step_size):
    flow = ParticleFlow(drifts.VariationalDrift(energy), step_size)
    history = flow.run(START, DATA, num_steps=8)
    values = history["energy"]
    assert len(values) == 9
    assert np.all(np.diff(values) < 0)
    assert values[-1] < 0.7 * values[0]
    assert history["drift_norm"][-1] < history["drift_norm"][0]
    assert history["sliced_wasserstein"][-1] < history["sliced_wasserstein"][0]


def test_records_the_steps_asked_for_and_the_ends():
    drift = drifts.KernelDrift("gaussian")
    flow = ParticleFlow(drift, 0.5, metrics={"energy_distance": distance})
    history = flow.run(START, DATA, num_steps=5, record_every=2)
    assert list(history) == ["step", "drift_norm", "energy_distance"]
    assert history["step"] == [0, 2, 4, 5]
    assert flow.history is history
    assert flow.snapshots.shape == (4, 12, 2)
    np.testing.assert_array_equal(flow.snapshots[0], START)
    # Each step is one of the drift.
    x = START
    step = contracts.in_one_program(drift)
    for _ in range(5):
        x = x + 0.5 * contracts.numpy(step(x, DATA))
    np.testing.assert_allclose(flow.snapshots[-1], x, atol=1e-5)
    expected = distance(flow.snapshots[-1], DATA)
    np.testing.assert_allclose(
        history["energy_distance"][-1], float(expected), rtol=1e-5
    )


def distance(x, y):
    return metrics.energy_distance(x, y)


def test_a_schedule_sets_the_bandwidth_of_each_step():
    drift = drifts.KernelDrift(kernels.Gaussian(1.0))
    schedule = schedules.ExponentialAnnealing(1.0, 0.1, rate=0.5)
    flow = ParticleFlow(drift, 1.0, metrics={}, schedule=schedule)
    flow.run(START, DATA, num_steps=2)
    x = START
    for step in range(2):
        width = np.exp(-0.5 * step)
        one = drifts.KernelDrift(kernels.Gaussian(width))
        x = x + contracts.numpy(contracts.in_one_program(one)(x, DATA))
    np.testing.assert_allclose(flow.snapshots[-1], x, atol=1e-5)
    final = float(contracts.numpy(drift.bandwidth))
    np.testing.assert_allclose(final, np.exp(-1), rtol=1e-5)


def test_compiles_once_for_all_steps():
    traces = []

    class Counted(drifts.KernelDrift):
        def velocities(self, *args):
            traces.append(None)
            return super().velocities(*args)

    schedule = schedules.ExponentialAnnealing(1.0, 0.1, rate=0.5)
    flow = ParticleFlow(Counted(), 0.1, metrics={}, schedule=schedule)
    flow.run(START, DATA, num_steps=6)
    flow.run(START, DATA, num_steps=6)
    eager = contracts.BACKEND == "torch"
    assert len(traces) == (14 if eager else 1)


def steps_of(flow):
    return np.diff(flow.snapshots, axis=0)


def test_a_sliced_drift_resamples_its_directions_in_every_step():
    drift = drifts.SlicedWassersteinDrift(1, seed=0)
    alone = contracts.copy_of(drift)
    flow = ParticleFlow(drift, 1e-3, metrics={})
    flow.run(START, DATA, num_steps=3)
    # One direction a step, along which all particles move.
    directions = steps_of(flow)[:, 0]
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    cosines = np.abs(directions @ directions.T)
    assert np.all(cosines[~np.eye(3, dtype=bool)] < 0.999)
    # The same directions as outside of a program, and the state goes on.
    for _ in range(3):
        contracts.numpy(alone(START, DATA))
    states = (
        contracts.numpy(each.seed_generator.state) for each in (drift, alone)
    )
    np.testing.assert_array_equal(*states)


def test_changes_between_runs_are_seen():
    drift = drifts.KernelDrift(kernels.Gaussian(1.0))
    flow = ParticleFlow(drift, 0.5, metrics={})
    flow.run(START, DATA, num_steps=1)
    first = steps_of(flow)[0]
    flow.step_size = 0.25
    flow.run(START, DATA, num_steps=1)
    np.testing.assert_allclose(steps_of(flow)[0], first / 2, rtol=1e-5)
    flow.step_size = 0
    flow.run(START, DATA, num_steps=1)
    np.testing.assert_array_equal(steps_of(flow), 0)
    flow.step_size = 0.5
    drift.unit_rms = True
    flow.run(START, DATA, num_steps=1)
    norm = flow.history["drift_norm"][0] / np.sqrt(START.shape[-1])
    np.testing.assert_allclose(steps_of(flow)[0], first / norm, rtol=1e-4)
    flow.drift = drifts.KernelDrift(kernels.Gaussian(0.3))
    flow.metrics = {"distance": distance}
    flow.run(START, DATA, num_steps=1)
    alone = contracts.in_one_program(flow.drift)(START, DATA)
    np.testing.assert_allclose(
        steps_of(flow)[0], 0.5 * contracts.numpy(alone), atol=1e-5
    )
    assert list(flow.history) == ["step", "drift_norm", "distance"]


@pytest.mark.parametrize("dim", [1, 2])
def test_draws_an_animation(tmp_path, dim):
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("matplotlib")
    flow = ParticleFlow(drifts.KernelDrift(), 0.5)
    flow.run(START[:, :dim], DATA[:, :dim], num_steps=3)
    path = tmp_path / "flow.gif"
    flow.animate(path, seconds=0.2)
    with image.open(path) as picture:
        assert picture.format == "GIF"
        assert picture.n_frames == 4
        assert picture.info["duration"] == 200
    assert [p.name for p in tmp_path.iterdir()] == ["flow.gif"]


def test_says_what_cannot_be_drawn(tmp_path):
    flow = ParticleFlow(drifts.KernelDrift(), metrics={})
    with pytest.raises(ValueError, match="`run` the flow"):
        flow.animate(tmp_path / "flow.gif")
    x = np.zeros((2, 3))
    flow.run(x, x + 1, num_steps=1)
    with pytest.raises(ValueError, match="in 3 dimensions"):
        flow.animate(tmp_path / "flow.gif")


def test_refuses_wrong_arguments():
    with pytest.raises(TypeError, match="`drift` is a"):
        ParticleFlow(3)
    assert isinstance(ParticleFlow("kernel_drift").drift, drifts.KernelDrift)
    with pytest.raises(
        TypeError, match=r"`schedule` is a function.*schedule=0.5"
    ):
        ParticleFlow("kernel_drift", schedule=0.5)
    independent = drifts.KernelDrift(self_interaction="independent")
    with pytest.raises(ValueError, match="self_interaction='independent'"):
        ParticleFlow(independent)
    with pytest.raises(ValueError, match=r"`step_size`.*=0"):
        ParticleFlow(drifts.KernelDrift(), 0)
    without = drifts.VariationalDrift("sliced_wasserstein")
    with pytest.raises(ValueError, match="can be annealed"):
        ParticleFlow(without, schedule=lambda step: 1.0)
    flow = ParticleFlow(drifts.KernelDrift())
    with pytest.raises(ValueError, match=r"`\(n, d\)`.*particles"):
        flow.run(START[None], DATA[None], num_steps=1)
    with pytest.raises(ValueError, match=r"`num_steps`.*=0"):
        flow.run(START, DATA, num_steps=0)
    with pytest.raises(ValueError, match=r"`record_every`.*=0"):
        flow.run(START, DATA, num_steps=1, record_every=0)


@pytest.mark.parametrize("name", ["particles", "positives"])
def test_refuses_points_that_are_not_finite(name):
    points = {"particles": np.zeros((4, 2)), "positives": np.ones((5, 2))}
    points[name][1, 0] = np.nan
    with pytest.raises(ValueError, match=f"infinity in `{name}`"):
        ParticleFlow("kernel_drift").run(**points, num_steps=1)


class Gained(drifts.KernelDrift):
    """A drift with a plain attribute, which is no argument."""

    gain = 1.0

    def field(self, *args, **kwargs):
        field = super().field(*args, **kwargs)
        return field._replace(velocity=field.velocity * self.gain)


class Steep(kernels.Laplacian):
    """A kernel with a plain attribute, which is no argument."""

    steepness = 1.0

    def log_value(self, radius):
        return self.steepness * super().log_value(radius)


def test_follows_attributes_of_a_drift():
    drift = Gained("gaussian")
    flow = ParticleFlow(drift)
    flow.run(START, DATA, num_steps=2)
    assert np.any(flow.snapshots[-1] != START)
    drift.gain = 0.0
    flow.run(START, DATA, num_steps=2)
    np.testing.assert_array_equal(flow.snapshots[-1], START)


def test_follows_attributes_of_parts_of_a_drift():
    found = []
    for runs_before in (True, False):
        drift = drifts.KernelDrift(Steep(0.5))
        flow = ParticleFlow(drifts.Sum([drift]))
        if runs_before:
            flow.run(START, DATA, num_steps=2)
        drift.kernel.steepness = 5.0
        flow.run(START, DATA, num_steps=2)
        found.append(flow.snapshots[-1])
    np.testing.assert_allclose(*found, atol=1e-6)


@pytest.mark.parametrize("name", ["step", "drift_norm", "energy"])
def test_refuses_metrics_of_names_that_are_taken(name):
    with pytest.raises(ValueError, match=f"another name.*'{name}'"):
        ParticleFlow("kernel_drift", metrics={name: metrics.energy_distance})


@pytest.mark.parametrize("name", ["random directions", "shares of signal"])
def test_two_runs_are_a_single_longer_one(name):
    """The field after the last step advanced the random state."""

    def flow():
        drift = drifts.SlicedWassersteinDrift(3, seed=0)
        if name == "shares of signal":
            drift = drifts.KernelDrift(signal_share=True)
        return ParticleFlow(drift, 0.5, metrics={})

    single, parts = flow(), flow()
    single.run(START, DATA, num_steps=4)
    parts.run(START, DATA, num_steps=2)
    parts.run(parts.snapshots[-1], DATA, num_steps=2)
    np.testing.assert_allclose(
        parts.snapshots[-1], single.snapshots[-1], atol=1e-6
    )


def test_refuses_schedules_that_are_negative_at_a_step():
    """Its compiled step would take the smallest bandwidth for it."""
    flow = ParticleFlow(
        "kernel_drift", metrics={}, schedule=lambda step: abs(step - 3) - 0.5
    )
    flow.run(START, DATA, num_steps=2)
    with pytest.raises(ValueError, match=r"bandwidth=-0.5 at step 3"):
        flow.run(START, DATA, num_steps=5)


def test_refuses_metrics_of_keras():
    given = {"distance": metrics.EnergyDistance()}
    with pytest.raises(TypeError, match=r"state of its own.*\['distance'\]"):
        ParticleFlow("kernel_drift", metrics=given)


@pytest.mark.parametrize(
    "given", [{"a": "energy_distance"}, [metrics.energy_distance], "step"]
)
def test_refuses_metrics_that_are_no_functions(given):
    with pytest.raises(TypeError, match=r"names to functions.*Received"):
        ParticleFlow("kernel_drift", metrics=given)
