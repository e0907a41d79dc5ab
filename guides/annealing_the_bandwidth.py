# %% [markdown]
# # Annealing the bandwidth
#
# A Gaussian kernel sees one scale: that of its bandwidth. This guide shows what
# that costs, and what a bandwidth that shrinks during training does about it: a
# wide kernel first, which settles the coarse features, a narrow one last.
#
# Run it as a script, or cell by cell. Pictures go to `outputs/guides`.

# %%
import os
import pathlib

import keras
import matplotlib.pyplot as plt
import numpy as np

import keras_drift as kd
from keras_drift import kernels
from keras_drift import spectral

# `quick` is for the tests, which run every guide.
quick = bool(os.environ.get("KERAS_DRIFT_QUICK"))
folder = pathlib.Path("outputs/guides")
folder.mkdir(parents=True, exist_ok=True)
keras.utils.set_random_seed(0)

# %% [markdown]
# ## A fixed bandwidth is blind to fine detail
#
# Take the difference of model and data apart into waves. Near the data each of
# them decays by itself, at a rate that depends on the kernel: `dispersion`. For
# a Gaussian of bandwidth `sigma` and a wave of `k` radians per unit of length
# it is `(sigma k)**2 exp(-(sigma k)**2 / 2)`. A wave much longer than the
# bandwidth decays slowly, one much shorter than it never.

# %%
waves = [1.0, 4.0, 16.0]
figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
print("steps to 1% of a wave of    k = 1    k = 4   k = 16")
for bandwidth in (1.0, 0.25, 0.0625):
    kernel = kernels.Gaussian(bandwidth)
    spectral.plot_dispersion(kernel, np.geomspace(0.1, 100, 200), ax=axis)
    steps = spectral.convergence_time(kernel, waves, dim=1)
    numbers = " ".join(f"{s:8.2g}" for s in steps)
    print(f"bandwidth {bandwidth:<6.4g}          {numbers}")
sweep = spectral.plan_annealing(k_min=1.0, k_max=16.0, verbose=False)
steps = spectral.convergence_time(
    "gaussian", waves, dim=1, schedule=sweep.schedule
)
print("annealed                  ", " ".join(f"{s:8.2g}" for s in steps))
figure.savefig(folder / "fixed_bandwidths.png", dpi=110)
plt.close(figure)

# %% [markdown]
# Each bandwidth is quick for its own wave, and none for all three: with the
# wide one the finest would take longer than anybody can wait. A bandwidth that
# passes through all of them, as in the last row, meets every wave at its best
# moment. And the sweep is short: it needs as many steps for each halving of the
# bandwidth, so its length grows with the logarithm of the finest detail only.

# %% [markdown]
# ## A plan from the data
#
# Where should the sweep start, where end, and how fast may it be?
# `plan_annealing` looks at the data for the waves that they have something to
# say about, and says what it has chosen and why. It prints this:

# %%
data = kd.datasets.checkerboard(2000 if quick else 20_000, seed=0)
plan = spectral.plan_annealing(data)

# %% [markdown]
# The plan is for particles that follow their velocity in full. Let them: once
# with the schedule, and for comparison with each end of it held fixed, and with
# the middle.
#
# Two numbers tell how they do. The sliced Wasserstein distance to data that
# they have not seen, over its floor, is about the coarse: whether the mass is
# where it belongs. The share of the particles on a dark field of the board, 1
# for the data and 0.5 by chance, is about the fine: whether the edges are
# sharp.

# %%
positives, unseen = (
    kd.datasets.checkerboard(100 if quick else 800, seed=s) for s in (1, 2)
)
start = 0.3 * np.random.default_rng(0).normal(size=positives.shape)
floor = kd.metrics.floor(
    kd.metrics.sliced_wasserstein,
    kd.datasets.checkerboard(20 * len(positives), seed=3),
    n=len(positives),
    repeats=8,
)
wide, narrow = plan.schedule.initial, plan.schedule.final


def report(name, points):
    distance = kd.metrics.sliced_wasserstein(points[: len(unseen)], unseen)
    dark = np.sum(np.floor(points), axis=1) % 2 == 0
    dark &= np.max(np.abs(points), axis=1) < 2
    print(f"{name:14s} {float(distance / floor):12.2f} {np.mean(dark):12.2f}")


middle = (wide * narrow) ** 0.5
choices = {
    f"fixed at {wide:.2g}": lambda step: wide,
    f"fixed at {middle:.2g}": lambda step: middle,
    f"fixed at {narrow:.2g}": lambda step: narrow,
    "annealed": plan.schedule,
}
flow = kd.flows.ParticleFlow(
    kd.drifts.KernelDrift(kernels.Gaussian(wide)), 1.0, metrics={}
)
figure, axes = plt.subplots(1, 5, figsize=(14, 3.2), layout="constrained")
print(f"{plan.num_steps} steps     over floor     on dark")
for axis, (name, choice) in zip(axes, choices.items(), strict=False):
    flow.schedule = choice
    flow.run(start, positives, plan.num_steps, record_every=plan.num_steps)
    report(name, flow.snapshots[-1])
    axis.scatter(*flow.snapshots[-1].T, s=2, color="C3")
    axis.set_title(name)
axes[-1].scatter(*positives.T, s=2)
axes[-1].set_title("data")
for axis in axes:
    axis.set(xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), aspect="equal")
figure.savefig(folder / "annealed_particles.png", dpi=110)
plt.close(figure)

# %% [markdown]
# The wide kernel fills the square and blurs the fields. The narrow one draws
# the edges of those fields that it sees, and has not even spread out. The
# middle one puts the mass where it belongs and blurs the edges. The sweep does
# the first nearly as well, and draws the edges.
#
# ## The schedule in training
#
# A generator does not follow its goals in full: it turns by as much as its
# learning rate allows. The plan needs to know. With `step_size=0.05` it assumes
# that a training step covers a twentieth of the way, and plans a sweep twenty
# times as long. It is also made for one batch instead of all data: a field is
# computed from a batch, and what is finer than a batch can show is noise.
# `BandwidthAnnealing` lets the drift follow the schedule during `fit`; the
# bandwidth appears in the logs.

# %%
batch_size = 200 if quick else 500
slow = spectral.plan_annealing(data[:batch_size], step_size=0.05)
epochs = 1 if quick else -(-slow.num_steps // (len(data) // batch_size))
print(f"{epochs} epochs")


def train(bandwidth, callbacks):
    model = kd.DriftModel(
        kd.generators.MLP(output_dim=2),
        kd.drifts.KernelDrift(kernels.Gaussian(bandwidth)),
        seed=0,
    )
    steps = epochs * (len(data) // batch_size)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    model.compile(keras.optimizers.Adam(rate))
    history = model.fit(
        data,
        batch_size=batch_size,
        epochs=epochs,
        verbose=0,
        callbacks=callbacks,
    )
    return model, history.history


runs = {
    f"fixed at {middle:.2g}": train(middle, []),
    "annealed": train(wide, [kd.callbacks.BandwidthAnnealing(slow.schedule)]),
}
widths = runs["annealed"][1]["bandwidth"]
print("bandwidth after each epoch:", ", ".join(f"{w:.2g}" for w in widths))

# %%
figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
print("drawn in one step  over floor     on dark")
for axis, (name, (model, _)) in zip(axes, runs.items(), strict=False):
    drawn = model.generate(2000, seed=0)
    report(name, drawn)
    axis.scatter(*drawn.T, s=1, color="C3")
    axis.set_title(name)
axes[-1].scatter(*data[:2000].T, s=1)
axes[-1].set_title("data")
for axis in axes:
    axis.set(xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), aspect="equal")
figure.savefig(folder / "annealed_generator.png", dpi=110)
plt.close(figure)

# %% [markdown]
# Do not expect the gain of the particles here. A small network cannot draw the
# edges after so few steps, at any bandwidth: the share on dark fields is near
# chance for both. And the sweep ends with the coarse a little worse than the
# fixed bandwidth leaves it, as narrow kernels do not hold it in place. The
# theory speaks of samples that follow their velocity; a generator that does not
# keep up with the sweep has nothing from it. Before training for long, look at
# both numbers, one for the coarse and one for the fine:
#
# - If the fine is bad and the coarse is good, a fixed bandwidth has reached its
#   end, and a sweep is worth its steps.
# - If the coarse gets worse toward the end of a sweep, the sweep may be too
#   quick for the generator: lower `step_size` in the plan, or raise the
#   `batch_size`, since a narrow kernel needs many samples.
# - If no single scale fits and no schedule is wanted, take several bandwidths
#   at once, or a Laplacian: see `guides/choosing_a_drift_and_a_kernel.py`.
