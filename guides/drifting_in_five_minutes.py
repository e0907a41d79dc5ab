# %% [markdown]
# # Drifting in five minutes
#
# A drifting model is a one-step generative model: it maps noise to a sample in
# one forward pass. This guide shows the idea behind it, first as a particle
# flow without a network, then with a generator.
#
# Run it as a script, or cell by cell:
#
#     KERAS_BACKEND=jax python guides/drifting_in_five_minutes.py
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

# `quick` is for the tests, which run every guide.
quick = bool(os.environ.get("KERAS_DRIFT_QUICK"))
folder = pathlib.Path("outputs/guides")
folder.mkdir(parents=True, exist_ok=True)
keras.utils.set_random_seed(0)

# %% [markdown]
# ## A drift is a velocity field
#
# A *drift* assigns a velocity to every generated sample: toward the data nearby
# (the *positives*), away from the other generated samples nearby (the
# *negatives*). The kernel and its bandwidth define what is nearby.

# %%
data = kd.datasets.two_moons(1000, seed=0)
drift = kd.drifts.KernelDrift(kd.kernels.Laplacian(bandwidth=0.3))

samples = np.random.default_rng(0).normal(size=(500, 2)).astype("float32")
velocity = keras.ops.convert_to_numpy(drift(samples, data))
print("velocities, one for each sample:", velocity.shape)

# %% [markdown]
# Let the samples follow this field. Nothing is trained here: the samples are
# particles, and in every step `ParticleFlow` moves each of them by `step_size`
# times its velocity. The drift shrinks as the particles approach the data, and
# vanishes where samples and data have the same distribution.

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

# %% [markdown]
# `flow.animate("flow.gif")` writes an animation of the trajectories.

# %% [markdown]
# ## A generator is trained on the moved samples
#
# A `DriftModel` does the same with the samples of a generator. In every
# training step it generates samples, computes their drift, and regresses the
# generator onto the samples moved one step along the drift. These targets are
# held fixed (`stop_gradient`), so the loss can fall only by moving the samples,
# not by shrinking the field.
#
# After training, the generator maps noise to data in one forward pass, without
# any intermediate steps.

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
# Two finite samples of one distribution are not at distance zero from each
# other. So every distance here is reported with its *floor*, the distance
# between two sets of data. Training has converged when the distance reaches the
# floor.

# %%
distance, floor = (
    history[f"monitor_{name}"][-1] for name in ("distance", "floor")
)
print(f"distance to held-out data {distance:.3f}, floor {floor:.3f}")

generated = model.generate(1000, seed=0)
figure, axes = plt.subplots(1, 2, figsize=(7, 3.5), layout="constrained")
for axis, points, title in zip(
    axes, (generated, held_out), ("generated in one step", "data"), strict=True
):
    axis.scatter(*points.T, s=2)
    axis.set(title=title, xlim=(-3, 3), ylim=(-3, 3), aspect="equal")
figure.savefig(folder / "network.png", dpi=110)

# %% [markdown]
# ## Where to go from here
#
# - `guides/choosing_a_drift_and_a_kernel.py`: the other drifts, compared.
# - `guides/annealing_the_bandwidth.py`: bandwidth schedules, from wide kernels
#   to narrow ones.
# - `guides/writing_your_own_drift_from_an_energy.py`: every differentiable
#   energy defines a drift.
# - `guides/choosing_an_encoder.py`: features for images.
# - `guides/guidance.py`: samples that are more typical of their class.
# - `guides/draw_images_from_official_weights.py`: published models of ImageNet.
# - `guides/from_pytorch_and_jax.py`: generators and drifts in a custom training
#   loop.
# - `examples/toy_2d.py`: other toy distributions. `examples/digits.py`:
#   class-conditional images, in about a minute, with `normalization="dual"`,
#   the recipe for images.
