# %% [markdown]
# # Choosing a drift and a kernel
#
# A drift is to a drifting model what a loss is to other models: the model takes
# any of them, and what it learns depends on which. This guide puts them side by
# side on a toy, as particles without a network, and ends with a short list of
# what to take when.
#
# Run it as a script, or cell by cell. Pictures go to `outputs/guides`.

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
# ## Normalizations: how far a pull reaches
#
# `KernelDrift` has four ways to turn a kernel into a velocity. To see what they
# do, put the data in a small heap at 0, the model in a small heap at 3, and
# look at the velocity of further samples, on the line between and beyond.

# %%
rng = np.random.default_rng(0)
places = np.linspace(-1.5, 4.5, 121).astype("float32")
heap = 0.1 * rng.normal(size=(100, 1)).astype("float32")


def velocities(normalization):
    """The velocity of a hundred samples at each of the places."""
    drift = drifts.KernelDrift(
        kernels.Laplacian(bandwidth=0.5),
        normalization,
        relative=False,
        unit_rms=False,
    )
    # One group for each place: samples of a group see each other.
    at_places = np.tile(places[:, None, None], (1, 100, 1))
    groups = [
        np.tile(points, (len(places), 1, 1)) for points in (heap, heap + 3)
    ]
    velocity = drift(at_places, *groups)
    return keras.ops.convert_to_numpy(velocity)[:, 0, 0]


figure, axis = plt.subplots(figsize=(7, 3.5), layout="constrained")
print("velocity at     -1.5     1.5     4.5")
for normalization in ("row", "dual", "sharp", "score"):
    velocity = velocities(normalization)
    axis.plot(places, velocity, label=normalization)
    numbers = "  ".join(f"{v:6.3f}" for v in velocity[[0, 60, 120]])
    print(f"{normalization:11s}  {numbers}")
axis.axvspan(-0.2, 0.2, color="0.85")
axis.axvspan(2.8, 3.2, color="mistyrose")
axis.set(xlabel="place of the sample", ylabel="velocity")
axis.set_title("data around 0 (gray), samples around 3 (red)")
axis.legend()
figure.savefig(folder / "normalizations.png", dpi=110)
plt.close(figure)

# %% [markdown]
# - `"row"`, the default, is the mean of the data nearby minus the mean of the
#   samples nearby. Each mean is divided by the mass around the sample, so it is
#   felt at any distance, in full: here minus 3, the way from the samples to the
#   data, wherever one looks.
# - `"dual"` is the recipe for images. Points also share their pull among the
#   samples around them, and the pull is weighed by the masses of both sides. It
#   is at most half a step and differs much from place to place, so it comes
#   with `unit_rms=True`, which scales each field to length 1, and with
#   `relative=True`, bandwidths in units of the mean distance. Both are switched
#   off here, to compare.
# - `"sharp"` and `"score"` are gradients of the difference of two
#   log-densities, so samples never circle. Under a Laplacian the score adds up
#   unit vectors times the bandwidth: one toward the data, one away from the
#   samples. Outside they cancel, and between they add up to twice 0.5.
#
# With a Gaussian kernel `"row"`, `"sharp"` and `"score"` are the same.

# %% [markdown]
# ## Kernels: which details fall, and how fast
#
# Near the data every frequency of the error decays at a rate of its own, and
# the rate follows from the kernel: `spectral.dispersion`. A rate near 1 is gone
# in a few steps, one of a millionth never.

# %%
width = 0.3
candidates = [
    kernels.Gaussian(width),
    kernels.Laplacian(width),
    kernels.Matern(width, nu=1.5),
    kernels.InverseMultiquadric(width, exponent=1.5),
]
# A wave once around the ring of the toy below has 0.67 radians per unit of
# length; half a wave as wide as one of its modes, 0.2, has 15.
frequencies = np.array([0.67, 5.0, 15.0, 45.0])
figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
print(
    "steps to 1% of the error, at frequency  0.67         5        15        45"
)
for kernel in candidates:
    spectral.plot_dispersion(kernel, np.geomspace(0.1, 100, 200), 2, ax=axis)
    steps = spectral.convergence_time(kernel, frequencies, dim=2)
    numbers = "".join(f"{v:10.3g}" for v in steps)
    print(f"{type(kernel).__name__:33s}{numbers}")
figure.savefig(folder / "kernels.png", dpi=110)
plt.close(figure)

# %% [markdown]
# At one bandwidth the Gaussian is the quickest at its favorite frequency and
# blind above it. The inverse multiquadric, whose tail is the heaviest, is the
# quickest with the longest waves of the picture. The Laplacian falls slowest at
# the fine end and wins there; `Matern(nu=1.5)`, smoother, lies between it and
# the Gaussian. No kernel is good everywhere, since one bandwidth is one scale.
# Two ways out of this trade are several bandwidths at once (`Laplacian([0.1,
# 0.4, 1.6])`) and one that shrinks, which is the subject of
# `guides/annealing_the_bandwidth.py`.

# %% [markdown]
# ## All drifts on one toy
#
# Eight small Gaussians on a ring, and two starts: a cloud that covers them all,
# and a heap in one corner, far from most of them. The first asks how well a
# drift settles detail, the second how it travels.
#
# The distance is the sliced Wasserstein distance to data that the particles
# have never seen, over its floor, the distance of such data to as many of the
# particles' own. It can be below 1, since particles that repel each other lie
# more evenly than chance.

# %%
size = 80 if quick else 320
data, unseen = (kd.datasets.eight_gaussians(size, seed=s) for s in (0, 1))
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
# Each with the step size and the number of steps that suit it.
contestants = {
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
    contestants = {
        name: contestants[name] for name in ("Laplacian 0.2", "SinkhornDrift")
    }

# %%
figure, axes = plt.subplots(
    2,
    len(contestants),
    figsize=(2.2 * len(contestants), 4.6),
    layout="constrained",
)
print(f"{'distance over floor':25s} noise  corner  modes kept  ms a step")
for column, (name, contestant) in enumerate(contestants.items()):
    drift, step_size, steps = contestant
    steps = 3 if quick else steps
    flow = kd.flows.ParticleFlow(drift, step_size, metrics={})
    over_floor = []
    for axis, start in zip(axes[:, column], starts, strict=True):
        begun = time.perf_counter()
        flow.run(start, data, steps, record_every=steps)
        elapsed = time.perf_counter() - begun  # compiled, the second time
        particles = flow.snapshots[-1]
        distance = kd.metrics.sliced_wasserstein(particles, unseen)
        over_floor.append(float(distance / floor))
        axis.scatter(*particles.T, s=2, color="C3")
        axis.set(xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), aspect="equal")
        axis.set(xticks=[], yticks=[])
    axes[0, column].set_title(name, fontsize=8)
    print(
        f"{name:25s} {over_floor[0]:5.2f}  {over_floor[1]:6.2f}"
        f"  {modes_kept(particles):6d}  {1000 * elapsed / steps:13.1f}"
    )
axes[0, 0].set_ylabel("from noise")
axes[1, 0].set_ylabel("from the corner")
figure.savefig(folder / "drifts.png", dpi=110)
plt.close(figure)

# %% [markdown]
# - From noise, where every mode has particles nearby, kernel drifts are the
#   best of all: they settle detail.
# - From the corner, a narrow kernel keeps to the modes that it sees, and
#   `FDivergenceDrift` with one as well. Several bandwidths carry particles to
#   all of them, but leave too many at the near end.
# - Transport has no such limit. Every data point must receive its share, so no
#   mode is left out, for `SinkhornDrift` and for `SlicedWassersteinDrift`.
# - `EnergyDistanceDrift` travels as well, and needs no bandwidth. Its detail
#   comes slowly: some particles still lie between the modes. `Sum` with a
#   Laplacian brings them home.
# - `MMDDrift` divides by no mass, so its forces are weak where little is near.
#   Even with the largest step of all its particles lie the most scattered.
# - `Lookahead` makes four small steps in one call, for the price of four
#   fields. The particles end where those of the drift inside end. In training
#   it saves three of four passes through the generator.

# %% [markdown]
# ## f-divergences: what a generator does that cannot fit
#
# All of these drifts rest where model and data agree, if the model can get
# there. One that cannot has to choose, and the divergence chooses for it. Here
# is the smallest such generator, `center + spread * noise`, regressed onto its
# goals like a network, on data with two modes of which one is larger.

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
        goal = sample + 0.1 * velocity
        spread, center = np.polyfit(noise, goal[:, 0], 1)
    print(f"{divergence:14s} center {center:.2f}, spread {spread:.2f}")
    bins = np.linspace(-4, 4, 60)
    axis.hist(two_modes, bins, color="0.8", density=True)
    axis.hist(sample[:, 0], bins, color="C3", density=True, histtype="step")
    axis.set_title(divergence)
figure.savefig(folder / "divergences.png", dpi=110)
plt.close(figure)

# %% [markdown]
# `"kl_qp"`, which is `KernelDrift`, settles on the larger mode, as exactly as
# it can, and leaves the other out: it punishes samples where there are no data.
# `"kl_pq"` punishes data where there are no samples, and so covers both, with
# samples in the empty middle. Take it where variety counts more than that every
# sample is good. A network large enough need not choose.
#
# ## What to take
#
# - To start with: `KernelDrift("laplacian")`, with several bandwidths if
#   nothing is known about the scale of the data.
# - For images, in features: `normalization="dual"`.
# - If the scale of the detail is known: a Gaussian and
#   `callbacks.BandwidthAnnealing`.
# - If modes get lost, or samples start far away: `SinkhornDrift`; in few
#   dimensions `SlicedWassersteinDrift`, which is cheaper; or `Sum` of
#   `EnergyDistanceDrift`, which travels, and a kernel, which settles detail.
# - If nothing may be tuned: `EnergyDistanceDrift`, or sliced Wasserstein.
# - If one number has to fall, for a proof or a plot: `MMDDrift`, or
#   `VariationalDrift` of an energy. It wants large batches and patience.
# - If the generator is too small for the data: `FDivergenceDrift`, `"kl_pq"` to
#   cover, `"kl_qp"` to be exact.
# - If the generator is slow and the drift cheap: `Lookahead`.
