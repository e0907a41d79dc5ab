# %% [markdown]
# # Drifting in five minutes
#
# A drifting model turns noise into a sample in one forward pass. This guide
# shows the one idea behind it, first without a network, then with one.
#
# Run it as a script, or cell by cell. Pictures go to `outputs/guides`.

# %%
import os
import pathlib

import keras
import matplotlib.pyplot as plt
import numpy as np

import keras_drift as kd

# `quick` is for the tests, which run every guide.
quick = bool(os.environ.get("KERAS_DRIFT_QUICK"))
folder = pathlib.Path("outputs/guides")
folder.mkdir(parents=True, exist_ok=True)
keras.utils.set_random_seed(0)

# %% [markdown]
# ## A drift moves points
#
# A *drift* looks at some samples and at some data, and says in which direction
# every sample should move: toward the data around it (the *positives*), away
# from the other samples around it (the *negatives*). What counts as around is
# the kernel's to say.

# %%
data = kd.datasets.two_moons(1000, seed=0)
drift = kd.drifts.KernelDrift(kd.kernels.Laplacian(bandwidth=0.3))

samples = np.random.default_rng(0).normal(size=(500, 2)).astype("float32")
velocity = keras.ops.convert_to_numpy(drift(samples, data))
print("A velocity for each sample:", velocity.shape)

# %% [markdown]
# Let the samples follow it for a while. Nothing is trained here: these are
# particles, and `ParticleFlow` moves each of them by `step_size` along its
# velocity, again and again. The drift shrinks as they arrive, and rests where
# samples and data have one distribution.

# %%
flow = kd.flows.ParticleFlow(drift, step_size=0.5)
recorded = flow.run(samples, data, num_steps=4 if quick else 60, record_every=2)
for step, length in zip(
    recorded["step"][::10], recorded["drift_norm"][::10], strict=True
):
    print(f"step {step:3d}: root mean square velocity {length:.3f}")

shown = [*flow.snapshots[[0, 1, 2, -1]], data]
titles = [
    "noise",
    "2 steps",
    "4 steps",
    f"{recorded['step'][-1]} steps",
    "data",
]
figure, axes = plt.subplots(1, 5, figsize=(14, 3), layout="constrained")
for axis, points, title in zip(axes, shown, titles, strict=True):
    axis.scatter(*points.T, s=2)
    axis.set(title=title, xlim=(-3, 3), ylim=(-3, 3), aspect="equal")
    axis.set(xticks=[], yticks=[])
figure.savefig(folder / "particles.png", dpi=110)
plt.close(figure)

# %% [markdown]
# `flow.animate("flow.gif")` draws the whole journey.

# %% [markdown]
# ## A network learns where they would go
#
# A `DriftModel` does the same with the samples that a network draws. In every
# step it draws samples, asks the drift where they should be, and regresses the
# network onto those places. The places are held fixed (`stop_gradient`): the
# samples move, the field does not bend toward them.
#
# After training, the network has absorbed the whole journey from noise to data,
# and makes it in one forward pass.

# %%
model = kd.DriftModel(kd.generators.MLP(output_dim=2), drift, seed=0)
model.compile(
    keras.optimizers.Adam(3e-3), metrics=[kd.metrics.SlicedWasserstein()]
)
held_out = kd.datasets.two_moons(1000, seed=1)
history = model.fit(
    kd.datasets.two_moons(2000 if quick else 20_000, seed=2),
    batch_size=1000,
    epochs=1 if quick else 10,
    verbose=2,
    callbacks=[kd.callbacks.DriftMonitor(held_out)],
).history

# %% [markdown]
# ## How good is it?
#
# No two finite sets of points are at distance zero, not even two sets of data.
# So every distance here comes with its *floor*, the distance of data to data.
# Training is done when the two meet.

# %%
distance, floor = (
    history[f"monitor_{name}"][-1] for name in ("distance", "floor")
)
print(f"distance to held-out data {distance:.3f}, floor {floor:.3f}")

drawn = model.generate(1000, seed=0)
figure, axes = plt.subplots(1, 2, figsize=(7, 3.5), layout="constrained")
for axis, points, title in zip(
    axes, (drawn, held_out), ("drawn in one step", "data"), strict=True
):
    axis.scatter(*points.T, s=2)
    axis.set(title=title, xlim=(-3, 3), ylim=(-3, 3), aspect="equal")
figure.savefig(folder / "network.png", dpi=110)
plt.close(figure)

# %% [markdown]
# ## Where to go from here
#
# - `guides/choosing_a_drift_and_a_kernel.py`: other drifts than this one, and
#   what each is good at.
# - `guides/annealing_the_bandwidth.py`: a wide kernel first, a narrow one last.
# - `guides/writing_your_own_drift_from_an_energy.py`: anything that can be
#   differentiated is a drift.
# - `examples/toy_2d.py`: the other toys. `examples/digits.py`: images with
#   classes, in about a minute, with `normalization="dual"`, the recipe for
#   images.
