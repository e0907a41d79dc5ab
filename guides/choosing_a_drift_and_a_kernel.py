# %% [markdown]
# # Choosing a drift and a kernel
#
# The drift is to a drifting model what the loss is to other models: an
# exchangeable part that decides what is learned. This guide answers the first
# question of every user, how wide the kernel should be, with a generator on a
# toy distribution. Then it compares normalizations, kernels and all drifts of
# the library, as particle flows without a network, and ends with a list of
# recommendations.
#
# Run it as a script, or cell by cell:
#
#     KERAS_BACKEND=jax python guides/choosing_a_drift_and_a_kernel.py
#
# with the backend that you installed: `jax`, `tensorflow` or `torch`. Figures
# are written to `outputs/guides`.

# %%
import os
import pathlib
import time

import keras
import matplotlib.pyplot as plt
import numpy as np

import keras_drift as kd
from keras_drift import drifts
from keras_drift import kernels
from keras_drift import spectral

# `quick` is for the tests, which run every guide.
quick = bool(os.environ.get("KERAS_DRIFT_QUICK"))
folder = pathlib.Path("outputs/guides")
folder.mkdir(parents=True, exist_ok=True)
keras.utils.set_random_seed(0)

# %% [markdown]
# ## How wide?
#
# The bandwidth matters more than any other choice. If the kernel is much wider
# than a detail of the data, the error in this detail decays slowly, and the
# noise of the wide field blurs what has been learned. If it is much narrower
# than the distance between samples and data, there is no signal, only the noise
# of a few neighbors: modes are lost. Between them lies a range of frequencies,
# `spectral.frequency_range`, and one bandwidth resolves a part of it. The
# library has four answers, all of them from the data:
#
# - `drift.adapt(data)`: one constant bandwidth.
# - `spectral.plan_training(data, num_steps)` with `BandwidthAnnealing`: two
#   bandwidths that shrink through the range.
# - `AdaptiveBandwidth`: the same range, but the bandwidth shrinks when the
#   signal of its field drops to the level of the sampling noise. The number of
#   steps need not be known.
# - `spectral.plan_bandwidths(data)`: a ladder of bandwidths at once, with
#   weights such that all frequencies decay at nearly one rate. With
#   `signal_share=True` each of them counts as long as it has signal, so that
#   wide ones vanish at the end; without, their noise stays.
#
# Where distances have no meaningful scale, or densities vary, `SelfTuningDrift`
# sets the bandwidth of every sample by its neighbors, and needs no plan: on the
# spirals its precision is 1.28 over the floor, and 1.17 with symmetric radii,
# where the planned kernel has 1.09 (`examples/reproduce/compare_drifts.py`).
#
# Here the four are compared with two constant bandwidths, one at each end of
# the range, with the same generator, optimizer and number of steps. Precision
# is the mean distance of samples to their nearest data, which blur raises;
# recall that of data to their nearest samples, which missing regions raise. All
# are divided by their floors, the values of data: 1 is perfect.

# %%
toy = kd.datasets.spirals
batch_size = 64 if quick else 1024
num_steps = 4 if quick else 800
points = toy(50 * batch_size, seed=0)
plan = spectral.plan_training(points, num_steps)
ladder = spectral.plan_bandwidths(points)
wide, narrow = float(plan.kernel.initial_bandwidth[0]), plan.schedule.final / 8


def train(drift, callback=None):
    keras.utils.set_random_seed(0)
    rate = keras.optimizers.schedules.CosineDecay(1e-2, num_steps, 0.01)
    model = kd.DriftModel(
        kd.generators.MLP(
            2,
            hidden_dims=(8,) if quick else (128,) * 4,
            activation="relu",
            num_codes=6,
        ),
        drift,
        seed=0,
    )
    model.compile(keras.optimizers.Muon(rate, use_ema=True))
    model.fit(
        points,
        batch_size=batch_size,
        steps_per_epoch=num_steps,
        verbose=0,
        callbacks=[] if callback is None else [callback],
    )
    return model


def laddered(**options):
    """A drift with the planned ladder of bandwidths."""
    return drifts.KernelDrift(
        kernels.Gaussian(ladder.kernel.initial_bandwidth.tolist()),
        bandwidth_weights=ladder.weights,
        **options,
    )


adapted = drifts.KernelDrift("gaussian")
adapted.adapt(points)
answers = {
    "constant, wide": (drifts.KernelDrift(kernels.Gaussian(wide)), None),
    "constant, narrow": (drifts.KernelDrift(kernels.Gaussian(narrow)), None),
    "adapt": (adapted, None),
    "plan_training": (
        drifts.KernelDrift(plan.kernel),
        kd.callbacks.BandwidthAnnealing(plan),
    ),
    "AdaptiveBandwidth": (
        drifts.KernelDrift(plan.kernel),
        kd.callbacks.AdaptiveBandwidth(plan),
    ),
    "ladder": (laddered(), None),
    "ladder, signal_share": (laddered(signal_share=True), None),
}
if quick:
    answers = {name: answers[name] for name in list(answers)[2:]}
count = 200 if quick else 4000
reference, others = (toy(count, seed=seed) for seed in (1, 2))
measures = [
    kd.metrics.sliced_wasserstein,
    kd.metrics.nearest_neighbor_precision,
    kd.metrics.nearest_neighbor_recall,
]
floors = [float(measure(others, reference)) for measure in measures]
figure, axes = plt.subplots(
    1, len(answers) + 1, figsize=(2 * len(answers) + 2, 2.4)
)
print(f"{'over the floor':22s} distance  precision  recall  ms per step")
for axis, (name, answer) in zip(axes, answers.items(), strict=False):
    begun = time.perf_counter()
    model = train(*answer)
    elapsed = time.perf_counter() - begun
    generated = model.generate(count, seed=0)
    values = [
        float(measure(generated, reference)) / lowest
        for measure, lowest in zip(measures, floors, strict=True)
    ]
    print(
        f"{name:22s} {values[0]:8.2f}  {values[1]:9.2f}  {values[2]:6.2f}"
        f"  {1000 * elapsed / num_steps:11.1f}"
    )
    axis.scatter(*generated.T, s=0.5, color="C3")
    axis.set_title(name, fontsize=8)
axes[-1].scatter(*reference.T, s=0.5)
axes[-1].set_title("data", fontsize=8)
for axis in axes:
    axis.set(xlim=(-2.3, 2.3), ylim=(-2.3, 2.3), aspect="equal")
    axis.set(xticks=[], yticks=[])
figure.tight_layout()
figure.savefig(folder / "how_wide.png", dpi=110)

# %% [markdown]
# On JAX it printed, for precision: 5.7 with the wide bandwidth, whose samples
# are blurred, and 1.14 with the narrow one, whose samples are sharp but miss a
# part of the data (recall 1.70, distance 9.1). All others are near 1, and none
# was guessed. The planned bandwidths are the most precise (1.03), and the
# adapted constant one nearly so (1.05): where the optimizer follows the field
# well, as `Muon` does, annealing adds little on this toy. `AdaptiveBandwidth`
# (1.11) reaches the narrow end late in such a short run; it is for runs whose
# length is not fixed. The ladder takes up to twice the time for a step, and its
# distance is the best (1.22); the share of signal lowers its precision from
# 1.14 to 1.09.
# %% [markdown]
# ## Normalizations: how the velocity depends on distance
#
# `KernelDrift` has four ways to turn a kernel into a velocity. To compare them,
# concentrate the data in a small cluster at 0 and the generated samples in a
# small cluster at 3, and evaluate the velocity on the line through both.

# %%
rng = np.random.default_rng(0)
positions = np.linspace(-1.5, 4.5, 121).astype("float32")
cluster = 0.1 * rng.normal(size=(100, 1)).astype("float32")


def velocities(normalization):
    """The velocity of a hundred samples at each of the positions."""
    drift = drifts.KernelDrift(
        kernels.Laplacian(bandwidth=0.5),
        normalization,
        relative=False,
        unit_rms=False,
    )
    # One group for each position: samples of one group interact.
    x = np.tile(positions[:, None, None], (1, 100, 1))
    positives, negatives = (
        np.tile(points, (len(positions), 1, 1))
        for points in (cluster, cluster + 3)
    )
    velocity = drift(x, positives, negatives)
    return keras.ops.convert_to_numpy(velocity)[:, 0, 0]


figure, axis = plt.subplots(figsize=(7, 3.5), layout="constrained")
print("velocity at     -1.5     1.5     4.5")
for normalization in ("row", "dual", "sharp", "score"):
    velocity = velocities(normalization)
    axis.plot(positions, velocity, label=normalization)
    numbers = "  ".join(f"{v:6.3f}" for v in velocity[[0, 60, 120]])
    print(f"{normalization:11s}  {numbers}")
axis.axvspan(-0.2, 0.2, color="0.85")
axis.axvspan(2.8, 3.2, color="mistyrose")
axis.set(xlabel="position of the sample", ylabel="velocity")
axis.set_title("data around 0 (gray), generated samples around 3 (red)")
axis.legend()
figure.savefig(folder / "normalizations.png", dpi=110)

# %% [markdown]
# - `"row"`, the default, is the kernel-weighted mean of the data minus that of
#   the generated samples. Each mean is divided by the kernel mass around the
#   sample, so the velocity does not decay with distance: here it is -3
#   everywhere, the displacement from the samples to the data.
# - `"dual"` is the recipe for images. The kernels are also divided by their
#   sums over the samples, and the two means are weighted by the masses of both
#   sides. The velocity is at most half a step and varies strongly with
#   position, so it comes with `unit_rms=True`, which scales each field to a
#   root mean square of 1, and with `relative=True`, bandwidths in units of the
#   mean distance. Both are switched off here, for comparison.
# - `"sharp"` and `"score"` are gradients of the difference of two
#   log-densities, so the field is curl-free. With a Laplacian the score is a
#   sum of unit vectors times the bandwidth: one toward the data, one away from
#   the generated samples. Outside the two clusters they cancel, and between
#   them they add up to twice 0.5.
#
# With a Gaussian kernel `"row"`, `"sharp"` and `"score"` are equal.

# %% [markdown]
# ## Kernels: the decay rate of every frequency
#
# Near the data every Fourier mode of the error decays at its own rate, which
# follows from the kernel: `spectral.dispersion`. A mode with a rate near 1
# vanishes within a few steps, one with a rate of a millionth never does.

# %%
width = 0.3
candidates = [
    kernels.Gaussian(width),
    kernels.Laplacian(width),
    kernels.Matern(width, nu=1.5),
    kernels.InverseMultiquadric(width, exponent=1.5),
]
# A wave with one period around the ring of the toy below has frequency 0.67, in
# radians per unit of length; one with half a period across a mode, 0.2 wide,
# has 15.
frequencies = np.array([0.67, 5.0, 15.0, 45.0])
figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
print(
    "steps until 1% is left, at frequency    0.67         5        15        45"
)
for kernel in candidates:
    spectral.plot_dispersion(kernel, np.geomspace(0.1, 100, 200), 2, ax=axis)
    steps = spectral.convergence_time(kernel, frequencies, dim=2)
    numbers = "".join(f"{v:10.3g}" for v in steps)
    print(f"{type(kernel).__name__:33s}{numbers}")
figure.savefig(folder / "kernels.png", dpi=110)

# %% [markdown]
# At equal bandwidths the Gaussian is the fastest near the peak of its rate, and
# its rate vanishes above. The inverse multiquadric, whose tail is the heaviest,
# is the fastest at the lowest frequencies of the figure. The rate of the
# Laplacian falls off most slowly at high frequencies, where it is the fastest;
# `Matern(nu=1.5)`, a smoother kernel, lies between it and the Gaussian. No
# kernel is good at all frequencies, since one bandwidth is one scale. Two
# remedies are several bandwidths at once (`Laplacian([0.1, 0.4, 1.6])`) and a
# bandwidth that shrinks, the subject of `guides/annealing_the_bandwidth.py`.

# %% [markdown]
# ## All drifts on one toy
#
# The data are eight narrow Gaussians on a ring. There are two initial
# distributions: a wide Gaussian that covers them all, and a narrow one at one
# side, far from most of them. The first tests how well a drift resolves detail,
# the second how well it transports mass over long distances.
#
# The distance is the sliced Wasserstein distance to held-out data, divided by
# its floor, the distance between two sets of data of that size. The ratio can
# be below 1, since particles that repel each other are spread more evenly than
# independent samples.

# %%
size = 80 if quick else 320
data, held_out = (kd.datasets.eight_gaussians(size, seed=s) for s in (0, 1))
floor = kd.metrics.floor(
    kd.metrics.sliced_wasserstein,
    kd.datasets.eight_gaussians(20 * size, seed=2),
    n=size,
    repeats=8,
)
starts = [
    rng.normal(size=(size, 2)).astype("float32"),
    (0.2 * rng.normal(size=(size, 2)) + [2.0, 0.0]).astype("float32"),
]
angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
centers = 1.5 * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def modes_kept(particles):
    """Modes that hold at least half of their share."""
    distances = np.linalg.norm(particles[:, None] - centers, axis=-1)
    nearest = np.argmin(distances, axis=1)[distances.min(axis=1) < 0.4]
    counts = np.bincount(nearest, minlength=8)
    return np.sum(counts >= 0.5 * len(particles) / 8)


laplacian = kernels.Laplacian(bandwidth=0.2)
several = kernels.Laplacian(bandwidth=[0.1, 0.4, 1.6])
# Each with a suitable step size and number of steps.
candidate_drifts = {
    "Gaussian 0.2": (drifts.KernelDrift(kernels.Gaussian(0.2)), 0.5, 60),
    "Laplacian 0.2": (drifts.KernelDrift(laplacian), 0.5, 60),
    "Laplacian 0.1, 0.4, 1.6": (drifts.KernelDrift(several), 0.5, 60),
    "Lookahead (3 more)": (
        drifts.Lookahead(drifts.KernelDrift(several), 3, step_size=0.5),
        0.5,
        15,
    ),
    "SinkhornDrift": (
        drifts.SinkhornDrift(0.32, num_steps=20, self_interaction="included"),
        0.5,
        30,
    ),
    "SlicedWassersteinDrift": (drifts.SlicedWassersteinDrift(32), 0.5, 30),
    "EnergyDistanceDrift": (drifts.EnergyDistanceDrift(), 0.5, 60),
    "MMDDrift": (drifts.MMDDrift(kernels.Gaussian([0.2, 0.5, 2.0])), 2.0, 60),
    "FDivergenceDrift": (
        drifts.FDivergenceDrift(
            {"kl_pq": 0.5, "chi2": 0.5}, kernels.Gaussian(0.3)
        ),
        0.3,
        60,
    ),
    "Sum (energy, Laplacian)": (
        drifts.Sum(["energy_distance_drift", drifts.KernelDrift(laplacian)]),
        0.4,
        60,
    ),
}
if quick:
    candidate_drifts = {
        name: candidate_drifts[name]
        for name in ("Laplacian 0.2", "SinkhornDrift")
    }

# %%
figure, axes = plt.subplots(
    2,
    len(candidate_drifts),
    figsize=(2.2 * len(candidate_drifts), 4.6),
    layout="constrained",
)
print(f"{'distance over floor':25s}  wide  narrow  modes kept  ms per step")
for column, (name, candidate) in enumerate(candidate_drifts.items()):
    drift, step_size, steps = candidate
    steps = 3 if quick else steps
    flow = kd.flows.ParticleFlow(drift, step_size, metrics={})
    over_floor = []
    for axis, start in zip(axes[:, column], starts, strict=True):
        begun = time.perf_counter()
        flow.run(start, data, steps, record_every=steps)
        elapsed = time.perf_counter() - begun  # compiled, the second time
        particles = flow.snapshots[-1]
        distance = kd.metrics.sliced_wasserstein(particles, held_out)
        over_floor.append(float(distance / floor))
        axis.scatter(*particles.T, s=2, color="C3")
        axis.set(xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), aspect="equal")
        axis.set(xticks=[], yticks=[])
    axes[0, column].set_title(name, fontsize=8)
    print(
        f"{name:25s} {over_floor[0]:5.2f}  {over_floor[1]:6.2f}"
        f"  {modes_kept(particles):10d}  {1000 * elapsed / steps:11.1f}"
    )
axes[0, 0].set_ylabel("wide start")
axes[1, 0].set_ylabel("narrow start")
figure.savefig(folder / "drifts.png", dpi=110)

# %% [markdown]
# - From the wide start, where every mode has particles nearby, kernel drifts
#   are the best: they resolve detail.
# - From the narrow start, a narrow kernel reaches only the modes nearby, and so
#   does `FDivergenceDrift` with one. Several bandwidths transport particles to
#   all modes, but leave too many at the near ones.
# - Optimal transport has no such limit. Every data point receives its share of
#   the mass, so no mode is lost, with `SinkhornDrift` and with
#   `SlicedWassersteinDrift`.
# - `EnergyDistanceDrift` transports mass as far, and needs no bandwidth, but
#   converges slowly in the details: some particles still lie between the modes.
#   Its `Sum` with a Laplacian drift moves those to the modes.
# - `MMDDrift` is not divided by a kernel mass, so its velocities are small
#   where few points are near. Even with the largest step size of all, its
#   particles are the most scattered.
# - `Lookahead` makes four small steps in one call, at the cost of four fields.
#   The particles end where those of the inner drift do. In training it saves
#   three of four passes through the generator.

# %% [markdown]
# ## f-divergences: generators that cannot fit the data
#
# All of these drifts vanish where model and data agree, if the model can get
# there. Where it cannot, the divergence decides what it learns instead. Here is
# the smallest such generator, `center + spread * noise`, regressed onto its
# targets like a network, for data with two modes of unequal weight.

# %%
noise = rng.normal(size=256).astype("float32")
two_modes = np.where(rng.random(256) < 0.7, -1.5, 1.5)
two_modes = (two_modes + 0.3 * rng.normal(size=256)).astype("float32")
divergences = ["kl_qp", "chi2", "jensen_shannon", "kl_pq"]
figure, axes = plt.subplots(1, 4, figsize=(12, 2.6), layout="constrained")
for axis, divergence in zip(axes, divergences, strict=True):
    drift = drifts.FDivergenceDrift(
        divergence, kernels.Gaussian(0.3), clip=100.0
    )
    spread, center = 0.5, -0.5
    for _ in range(5 if quick else 400):
        sample = (center + spread * noise)[:, None]
        velocity = keras.ops.convert_to_numpy(drift(sample, two_modes[:, None]))
        target = sample + 0.1 * velocity
        spread, center = np.polyfit(noise, target[:, 0], 1)
    print(f"{divergence:14s} center {center:.2f}, spread {spread:.2f}")
    options = {"bins": np.linspace(-4, 4, 60), "density": True}
    axis.hist(two_modes, color="0.8", label="data", **options)
    axis.hist(
        sample[:, 0], color="C3", histtype="step", label="generated", **options
    )
    axis.set_title(divergence)
axes[0].legend(fontsize=8)
figure.savefig(folder / "divergences.png", dpi=110)

# %% [markdown]
# `"kl_qp"`, which is `KernelDrift`, fits the larger mode exactly and loses the
# other: it penalizes samples where there are no data. `"kl_pq"` penalizes data
# where there are no samples, so it covers both modes, and also generates
# samples between them. Choose it where diversity matters more than the quality
# of each sample. A generator that is large enough does not have to choose.
#
# ## Recommendations
#
# - To start with: `KernelDrift("gaussian")`, and `model.adapt(data)`, which
#   sets its bandwidth from the data, feature by feature.
# - For images, in features: `normalization="dual"`.
# - For samples as crisp as the data: a Gaussian with the bandwidths of
#   `spectral.plan_training`, which shrink during training, see
#   `guides/annealing_the_bandwidth.py`; with `AdaptiveBandwidth` where the
#   number of steps is not fixed.
# - If the coarse structure must stay right to the end, at twice the cost: the
#   ladder of `spectral.plan_bandwidths`, with `signal_share=True`.
# - If modes get lost, or samples start far away: `SinkhornDrift`; in few
#   dimensions `SlicedWassersteinDrift`, which is cheaper; or the `Sum` of
#   `EnergyDistanceDrift`, for long distances, and a kernel drift, for details.
# - If nothing should be tuned: `EnergyDistanceDrift`, or
#   `SlicedWassersteinDrift`.
# - If one functional has to decrease, for a proof or a plot: `MMDDrift`, or
#   `VariationalDrift` of an energy. They need large batches and many steps.
# - If the generator is too small for the data: `FDivergenceDrift`, with
#   `"kl_pq"` to cover all modes, with `"kl_qp"` for the quality of each sample.
# - If the generator is slow and the drift cheap: `Lookahead`.
