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
# they resolve, and explains its choice. More data resolve finer details: pass
# about as many samples as one field compares. It prints this:

# %%
data = kd.datasets.checkerboard(2000 if quick else 20_000, seed=0)
plan = spectral.plan_annealing(data[:2000])

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

# %% [markdown]
# The wide kernel covers the whole board and blurs its squares. The narrow one
# resolves the edges of the squares near the start, and never reaches the
# others. The intermediate one distributes the mass correctly but blurs the
# edges. Annealing distributes the mass nearly as well, and resolves the edges.
#
# ## The bandwidths of a training run
#
# A generator does not reach its targets in one training step: it follows more
# slowly, fine details most slowly of all, and the field of a batch is noisy.
# The plan for particles therefore does not carry over: it falls too fast, and
# to a bandwidth at which the field of a batch is mostly noise. `plan_training`
# is the plan for `fit`. It takes the number of steps instead of a rate: for 60%
# of them the bandwidth shrinks; the others are left to the fine details. And it
# takes two bandwidths, since a narrow kernel alone does not preserve the masses
# of distant regions. Many separate modes need a third, wider one to stay
# equally populated, `ratios=(1.0, 0.35, 0.12)`, as in `examples/toy_2d.py`.

# %%
batch_size = 100 if quick else 500
epochs = 1 if quick else 50
num_steps = epochs * (len(data) // batch_size)
training = spectral.plan_training(data, num_steps)

# %% [markdown]
# `BandwidthAnnealing` anneals the drift during `fit`, and the largest bandwidth
# appears in the logs. To make the schedule a part of the model, pass it as
# `DriftModel(bandwidth_schedule=...)`.
#
# The bandwidth is not the only cause of blur. Four runs of equal length, each
# with one more change: a fixed bandwidth; the plan; the optimizer `Muon` in
# place of `Adam`; and a generator with binary codes. A continuous network maps
# connected noise to connected samples, with spurious samples between the
# squares; `num_codes=6` gives it the signs of six noise coordinates, so that
# its output can be disconnected.


# %%
def train(kernel, optimizer, num_codes=0, callbacks=()):
    rate = keras.optimizers.schedules.CosineDecay(
        1e-2 if optimizer is keras.optimizers.Muon else 3e-3, num_steps, 0.01
    )
    model = kd.DriftModel(
        kd.generators.MLP(
            2,
            hidden_dims=(8,) if quick else (128,) * 4,
            activation="relu",
            num_codes=num_codes,
        ),
        kd.drifts.KernelDrift(kernel),
        seed=0,
    )
    model.compile(optimizer(rate, use_ema=True, ema_momentum=0.99))
    model.fit(
        data,
        batch_size=batch_size,
        epochs=epochs,
        verbose=0,
        callbacks=list(callbacks),
    )
    return model


adam, muon = keras.optimizers.Adam, keras.optimizers.Muon
annealing = [kd.callbacks.BandwidthAnnealing(training)]
runs = {
    f"fixed at {middle:.2g}": train(kernels.Gaussian(middle), adam),
    "planned": train(training.kernel, adam, callbacks=annealing),
    "and Muon": train(training.kernel, muon, callbacks=annealing),
    "and codes": train(training.kernel, muon, 6, annealing),
}

# %% [markdown]
# A third number also detects blur: the precision, the mean distance of samples
# to their nearest neighbors in the data, divided by that of data.

# %%
count = 200 if quick else 4000
held_out, others = (kd.datasets.checkerboard(count, seed=s) for s in (4, 5))
measures = kd.metrics.sliced_wasserstein, kd.metrics.nearest_neighbor_precision
floors = [float(measure(others, held_out)) for measure in measures]
figure, axes = plt.subplots(1, 5, figsize=(14, 3.2), layout="constrained")
print("in one step      distance    precision      on dark")
for axis, (name, model) in zip(axes, runs.items(), strict=False):
    generated = model.generate(count, seed=0)
    ratios = [
        float(measure(generated, held_out)) / floor
        for measure, floor in zip(measures, floors, strict=True)
    ]
    dark = np.mean(np.sum(np.floor(generated), axis=1) % 2 == 0)
    print(f"{name:14s} {ratios[0]:10.2f} {ratios[1]:12.2f} {dark:12.2f}")
    axis.scatter(*generated.T, s=1, color="C3")
    axis.set_title(name)
axes[-1].scatter(*held_out.T, s=1)
axes[-1].set_title("data")
for axis in axes:
    axis.set(xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), aspect="equal")
figure.savefig(folder / "annealed_generator.png", dpi=110)

# %% [markdown]
# The fixed bandwidth is a good guess, the mean of those planned for particles,
# and the plan finds better ones without a guess. But with `Adam` most of the
# blur stays: its precision on JAX was 1.93, after 2.08 with the fixed
# bandwidth. `Muon` follows the field faster in the fine details, in as many
# steps (1.44), and codes remove the samples between the squares (1.24). What is
# left are the edges, which converge last: `examples/toy_2d.py` takes more steps
# and larger batches.
#
# Before a long training, look at both numbers. If the precision is bad and the
# distance good, the final bandwidth is too wide, or the steps too few. If the
# distance gets worse toward the end of a schedule, the schedule falls too fast,
# or too far for the batch: raise `num_steps` or `batch_size`, or the smallest
# of the `ratios`.
