# %% [markdown]
# # Writing your own drift from an energy
#
# An energy is a functional that measures how far generated samples are from the
# data. Its negative gradient is a drift: the velocity of sample `i` of `n` is
# `-n dF/dx_i`. So to try an idea, write down the functional to minimize. This
# guide defines an energy in a few lines, checks it, simulates its gradient
# flow, trains a generator with it, and finally fine-tunes the generator with
# another energy, the Fréchet distance.
#
# Run it as a script, or cell by cell:
#
#     KERAS_BACKEND=jax python guides/writing_your_own_drift_from_an_energy.py
#
# with the backend that you installed: `jax`, `tensorflow` or `torch`. Figures
# are written to `outputs/guides`.

# %%
import os
import pathlib

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import ops

import keras_drift as kd

# `quick` is for the tests, which run every guide.
quick = bool(os.environ.get("KERAS_DRIFT_QUICK"))
folder = pathlib.Path("outputs/guides")
folder.mkdir(parents=True, exist_ok=True)
keras.utils.set_random_seed(0)

# %% [markdown]
# ## An energy of your own
#
# Compare the means of samples and data under random Fourier features. If the
# means agree for all frequencies, the distributions are equal; for many random
# ones, nearly so. An `Energy` defines `value(x, positives)`: `x` are the
# samples, `(groups, n, d)`, and `positives` are the data, a `PointCloud` with
# `points` and `weights`. It returns one number for each group. Write it in
# `keras.ops`, so that every backend can differentiate it.
#
# The base class moves the origin to the mean of the samples, for the precision
# of float32, so an energy must be invariant to translations. This one is: a
# translation of all points rotates the phase of each mean by the same angle.


# %%
@keras.saving.register_keras_serializable("my_package")
class RandomFourierEnergy(kd.energies.Energy):
    """Half the mean squared difference of random Fourier features.

    Multiplied by the squared scale.

    Args:
        scale: float > 0, the typical wavelength over 2 pi.
        num_frequencies: int >= 1.
        seed: int, of the random frequencies.
    """

    def __init__(self, scale=1.0, num_frequencies=256, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale
        self.num_frequencies = num_frequencies
        self.seed = seed

    def value(self, x, positives):
        differences = self._means(x) - self._means(positives.points)
        squares = ops.sum(ops.square(differences), axis=-1)
        # A squared length, so that the velocity is a length.
        return 0.5 * self.scale**2 * squares / self.num_frequencies

    def _means(self, points):
        """Mean cosines and sines, `(groups, 2 num_frequencies)`."""
        rng = np.random.default_rng(self.seed)
        size = (points.shape[-1], self.num_frequencies)
        frequencies = rng.standard_t(3, size=size) / self.scale
        phases = ops.matmul(points, frequencies.astype("float32"))
        both = ops.concatenate([ops.cos(phases), ops.sin(phases)], axis=-1)
        return ops.mean(both, axis=1)

    def get_config(self):
        return {
            **super().get_config(),
            "scale": self.scale,
            "num_frequencies": self.num_frequencies,
            "seed": self.seed,
        }


# %% [markdown]
# This energy ignores `positives.weights`: it is for data of equal weights. The
# energies of the package take weights into account, see `energies/mmd.py`.
#
# ## Is the velocity right?
#
# `VariationalDrift` differentiates the energy automatically. Comparing with
# finite differences is cheap, and reveals an energy that is not smooth, or not
# invariant to translations.

# %%
size = 100 if quick else 500
data, held_out = (kd.datasets.two_moons(size, seed=seed) for seed in (0, 1))
start = np.random.default_rng(0).normal(size=(size, 2)).astype("float32")

energy = RandomFourierEnergy()
drift = kd.drifts.VariationalDrift(energy)
velocity = ops.convert_to_numpy(drift(start, data))
print("sample, axis    -n dF/dx   finite difference")
for sample, axis in ((0, 0), (1, 1), (2, 0)):
    step = np.zeros_like(start)
    step[sample, axis] = 0.03
    plus, minus = (float(energy(start + s, data)) for s in (step, -step))
    slope = -size * (plus - minus) / 0.06
    exact = velocity[sample, axis]
    print(f"{sample}, {axis}            {exact:8.4f}   {slope:17.4f}")
moved = float(energy(start + 10, data + 10))
print(f"energy {float(energy(start, data)):.4f}, translated by 10: {moved:.4f}")

# %% [markdown]
# ## Particles first
#
# A particle flow shows in seconds, without a generator, whether an energy is
# useful. A gradient flow with small enough steps decreases the energy in every
# step: check this first. `ParticleFlow` records the energy if the drift has
# one.

# %%
flow = kd.flows.ParticleFlow(drift, step_size=1.0)
history = flow.run(start, data, num_steps=10 if quick else 200)
energies = np.array(history["energy"])
print(f"energy from {energies[0]:.3g} to {energies[-1]:.3g}")
print("largest increase in one step:", max(np.diff(energies).max(), 0.0))

figure, axes = plt.subplots(1, 4, figsize=(13, 3.2), layout="constrained")
axes[0].semilogy(history["step"], energies)
axes[0].set(title="energy", xlabel="step")
last = len(flow.snapshots) - 1
for axis, record in zip(axes[1:3], (last // 20, last), strict=True):
    axis.scatter(*flow.snapshots[record].T, s=3, color="C3")
    axis.set_title(f"step {record}")
axes[3].scatter(*data.T, s=3)
axes[3].set_title("data")
for axis in axes[1:]:
    axis.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal")
figure.savefig(folder / "energy_particles.png", dpi=110)

# %% [markdown]
# ## A generator
#
# The drift is used like any other.

# %%
floor = kd.metrics.floor(
    kd.metrics.sliced_wasserstein,
    kd.datasets.two_moons(20 * size, seed=2),
    n=size,
    repeats=8,
)
frechet = kd.energies.FrechetDistance()


def report(model):
    generated = model.generate(size, seed=0)
    distance = kd.metrics.sliced_wasserstein(generated, held_out)
    many = model.generate(2000, seed=0)
    print(
        f"sliced Wasserstein distance over floor: {float(distance / floor):.2f}"
    )
    print(f"half the Fréchet distance: {float(frechet(many, population)):.5f}")
    return many


population = kd.datasets.two_moons(2000, seed=3)
training_data = kd.datasets.two_moons(1000 if quick else 10_000, seed=4)
generator = kd.generators.MLP(output_dim=2)
model = kd.DriftModel(generator, drift, seed=0)
epochs = 1 if quick else 40
steps = epochs * (len(training_data) // size)
rate = keras.optimizers.schedules.CosineDecay(3e-3, steps)
model.compile(keras.optimizers.Adam(rate))
model.fit(training_data, batch_size=size, epochs=epochs, verbose=0)
trained = report(model)

# %% [markdown]
# Compared with the Laplacian drift of `guides/drifting_in_five_minutes.py`, the
# moons are strongly blurred. The gradient of this energy vanishes as the
# samples approach the data, as the curve above shows, so the last part of
# training is slow. Whether an energy is a good training objective shows only in
# training.
#
# ## Fine-tuning with the Fréchet distance
#
# A trained generator can be trained further with another drift: make a second
# model of the same generator. The Fréchet distance compares only means and
# covariances, so it cannot train a generator from scratch, but it removes the
# remaining error in them. On features of a pretrained network (its argument
# `encoder`) it is the FID. Here it is computed on the samples themselves. Use a
# small learning rate.

# %%
fine_tuned = kd.DriftModel(
    generator, kd.drifts.VariationalDrift(frechet), seed=1
)
fine_tuned.compile(keras.optimizers.Adam(3e-4))
fine_tuned.fit(
    training_data, batch_size=size, epochs=1 if quick else 5, verbose=0
)
improved = report(fine_tuned)

figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
titles = ("trained", "fine-tuned", "data")
for axis, points, title in zip(
    axes, (trained, improved, population), titles, strict=True
):
    axis.scatter(*points.T, s=1)
    axis.set(title=title, xlim=(-3, 3), ylim=(-3, 3), aspect="equal")
figure.savefig(folder / "energy_generator.png", dpi=110)

# %% [markdown]
# The Fréchet distance decreases further, and the moons are as blurred as
# before: a distance of means and covariances cannot measure that. So monitor
# another distance when fine-tuning, as here.
#
# ## Where to go from here
#
# - `energies`: the energies of the package, from the smoothed KL divergence to
#   the Sinkhorn divergence.
# - `Energy.first_variation`: define it beside `value` where the first
#   variation, with the other samples held fixed, has a formula. It is cheaper
#   then.
# - `drifts.Sum`: several drifts at once, yours among them.
# - A drift that is not the gradient of an energy, such as `KernelDrift`, is a
#   subclass of `drifts.PairwiseDrift` that defines `velocities`.
