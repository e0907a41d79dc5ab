# %% [markdown]
# # Annealing the bandwidth
#
# A Gaussian kernel resolves one scale, that of its bandwidth. This guide shows
# how slowly other scales converge under a fixed bandwidth, and how a bandwidth
# that shrinks during training fixes this: a wide kernel first, for the coarse
# structure of the data, a narrow one last, for the fine structure.
#
# Run it as a script, or cell by cell:
#
#     KERAS_BACKEND=jax python guides/annealing_the_bandwidth.py
#
# with the backend that you installed: `jax`, `tensorflow` or `torch`. Figures
# are written to `outputs/guides`.

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
# ## A fixed bandwidth cannot resolve fine detail
#
# Decompose the difference between model and data into Fourier modes. Near the
# data each mode decays independently, at a rate that depends on the kernel,
# given by `spectral.dispersion`. For a Gaussian of bandwidth `sigma` and a mode
# of `k` radians per unit of length the rate is `(sigma k)**2 exp(-(sigma k)**2
# / 2)`. A mode whose wavelength is much longer than the bandwidth decays
# slowly, and one that is much shorter hardly at all.

# %%
frequencies = [1.0, 4.0, 16.0]
figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
print("steps until 1% is left of   k = 1    k = 4   k = 16")
for bandwidth in (1.0, 0.25, 0.0625):
    kernel = kernels.Gaussian(bandwidth)
    spectral.plot_dispersion(kernel, np.geomspace(0.1, 100, 200), ax=axis)
    steps = spectral.convergence_time(kernel, frequencies, dim=1)
    numbers = " ".join(f"{s:8.2g}" for s in steps)
    print(f"bandwidth {bandwidth:<6.4g}          {numbers}")
sweep = spectral.plan_annealing(k_min=1.0, k_max=16.0, verbose=False)
steps = spectral.convergence_time(
    "gaussian", frequencies, dim=1, schedule=sweep.schedule
)
print("annealed                  ", " ".join(f"{s:8.2g}" for s in steps))
figure.savefig(folder / "fixed_bandwidths.png", dpi=110)
plt.close(figure)

# %% [markdown]
# Each bandwidth is fast for one frequency and none is fast for all three: with
# the wide one the highest frequency never converges in practice. An annealed
# bandwidth, in the last row, passes through the best bandwidth of every
# frequency. And annealing is short: every halving of the bandwidth takes the
# same number of steps, so the total grows only with the logarithm of the
# highest frequency.

# %% [markdown]
# ## A plan from the data
#
# At which bandwidth should the schedule start and end, and how fast may it
# fall? `plan_annealing` estimates from the data the range of frequencies that
# they resolve, and explains its choice. It prints this:

# %%
data = kd.datasets.checkerboard(2000 if quick else 20_000, seed=0)
plan = spectral.plan_annealing(data)

# %% [markdown]
# The plan is for particles that move by their full velocity in every step. Run
# such a particle flow with the schedule, and for comparison with three fixed
# bandwidths: the initial one, the final one, and their geometric mean.
#
# Two numbers measure the result. The sliced Wasserstein distance to held-out
# data, divided by its floor, measures the coarse structure: whether every
# region has its mass. The share of the particles on dark squares of the board,
# 1 for the data and 0.5 by chance, measures the fine structure: whether edges
# are sharp.

# %%
positives, held_out = (
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
    distance = kd.metrics.sliced_wasserstein(points[: len(held_out)], held_out)
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
print(f"{f'{plan.num_steps} steps':14s}   over floor      on dark")
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
# The wide kernel covers the whole board and blurs its squares. The narrow one
# resolves the edges of the squares near the start, and never reaches the
# others. The intermediate one distributes the mass correctly but blurs the
# edges. Annealing distributes the mass nearly as well, and resolves the edges.
#
# ## The schedule in training
#
# A generator does not reach its targets in one training step: it moves only as
# far as its learning rate allows. The plan has to account for this. With
# `step_size=0.05` it assumes that a training step covers a twentieth of the
# distance, and plans a schedule twenty times as long. It is also made from one
# batch instead of all data: a field is estimated from a batch, and structure
# finer than a batch resolves is noise. `BandwidthAnnealing` anneals the drift
# during `fit`, and the bandwidth appears in the logs. To make the schedule a
# part of the model, pass it as `DriftModel(bandwidth_schedule=...)`.

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
print("in one step      over floor      on dark")
for axis, (name, (model, _)) in zip(axes, runs.items(), strict=False):
    generated = model.generate(2000, seed=0)
    report(name, generated)
    axis.scatter(*generated.T, s=1, color="C3")
    axis.set_title(name)
axes[-1].scatter(*data[:2000].T, s=1)
axes[-1].set_title("data")
for axis in axes:
    axis.set(xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), aspect="equal")
figure.savefig(folder / "annealed_generator.png", dpi=110)
plt.close(figure)

# %% [markdown]
# The gain is much smaller than for the particles. A small network cannot
# represent the edges after so few steps, at any bandwidth: the share on dark
# squares is near chance for both. And annealing ends with slightly worse coarse
# structure than the fixed bandwidth, since narrow kernels do not preserve it.
# The theory describes samples that follow their velocity; a generator that lags
# behind the schedule does not profit from it. Before a long training, look at
# both numbers, for the coarse and for the fine structure:
#
# - If the fine structure is bad and the coarse structure good, a fixed
#   bandwidth has reached its limit, and annealing is worth its steps.
# - If the coarse structure gets worse toward the end of a schedule, the
#   schedule may be too fast for the generator: lower `step_size` in the plan,
#   or raise the `batch_size`, since a narrow kernel needs many samples.
# - If no single scale fits and no schedule is wanted, use several bandwidths at
#   once, or a Laplacian: see `guides/choosing_a_drift_and_a_kernel.py`.
