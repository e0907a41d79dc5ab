# %% [markdown]
# # Writing your own drift from an energy
#
# An energy is a number that says how far a set of samples is from the data. Let
# the samples slide down it and you have a drift: the velocity of sample `i` of
# `n` is `-n dF/dx_i`. So to try an idea, write down what should become small.
# This guide writes an energy in a few lines, checks it, lets particles follow
# it, trains a generator with it, and at last polishes the generator with
# another energy, the Fréchet distance.
#
# Run it as a script, or cell by cell. Pictures go to `outputs/guides`.

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
# ## An energy of one's own
#
# Look at samples and data through a fixed set of waves, and compare the means.
# If they agree for all waves, the distributions are the same; for many random
# ones, nearly so. An `Energy` writes `value(x, positives)`: `x` are the
# samples, `(groups, n, d)`, and `positives` are the data, a `PointCloud` with
# `points` and `weights`. The answer is a number for each group. Everything in
# it must be `keras.ops`, so that it can be differentiated on any backend.
#
# One thing to know: the base class moves the origin to the mean of the samples,
# for the sake of float32. So an energy must not depend on the origin. Ours does
# not: to move all points turns the phase of each mean by the same angle.


# %%
@keras.saving.register_keras_serializable("my_package")
class WaveGap(kd.energies.Energy):
    """Half the mean squared gap between the means of random waves.

    Times the squared scale.

    Args:
        scale: float > 0, the typical length of a wave over 2 pi.
        num_waves: int >= 1.
        seed: int, of the waves.
    """

    def __init__(self, scale=1.0, num_waves=256, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.scale, self.num_waves, self.seed = scale, num_waves, seed

    def value(self, x, positives):
        gaps = self._means(x) - self._means(positives.points)
        squares = ops.sum(ops.square(gaps), axis=-1) / self.num_waves
        # A squared length, so that the velocity is a length.
        return 0.5 * self.scale**2 * squares

    def _means(self, points):
        """Mean cosine and sine of each wave, `(groups, 2 num_waves)`."""
        rng = np.random.default_rng(self.seed)
        size = (points.shape[-1], self.num_waves)
        waves = rng.standard_t(3, size=size) / self.scale
        phases = ops.matmul(points, waves.astype("float32"))
        both = ops.concatenate([ops.cos(phases), ops.sin(phases)], axis=-1)
        return ops.mean(both, axis=1)

    def get_config(self):
        own = {
            key: getattr(self, key) for key in ("scale", "num_waves", "seed")
        }
        return {**super().get_config(), **own}


# %% [markdown]
# This one leaves out `positives.weights`: it is for data that all count the
# same. The energies of the package honour them, see `energies/mmd.py`.
#
# ## Is the velocity right?
#
# `VariationalDrift` differentiates the energy by itself, so there is no formula
# to get wrong. Still, a look at finite differences costs nothing, and finds an
# energy that is not smooth, or depends on the origin.

# %%
size = 100 if quick else 500
data, unseen = (kd.datasets.two_moons(size, seed=seed) for seed in (0, 1))
start = np.random.default_rng(0).normal(size=(size, 2)).astype("float32")

energy = WaveGap()
drift = kd.drifts.VariationalDrift(energy)
velocity = ops.convert_to_numpy(drift(start, data))
print("sample, axis    -n dF/dx   by differences")
for sample, axis in ((0, 0), (1, 1), (2, 0)):
    step = np.zeros_like(start)
    step[sample, axis] = 0.03
    there, back = (float(energy(start + s, data)) for s in (step, -step))
    slope = -size * (there - back) / 0.06
    exact = velocity[sample, axis]
    print(f"{sample}, {axis}            {exact:8.4f}   {slope:8.4f}")
moved = float(energy(start + 10, data + 10))
print(f"energy {float(energy(start, data)):.4f}, all moved by 10: {moved:.4f}")

# %% [markdown]
# ## Particles first
#
# Without a generator one sees in seconds whether an energy leads anywhere. A
# flow down an energy lowers it in every step, if the steps are small enough:
# the first thing to look at. `ParticleFlow` records the energy by itself if the
# drift has one.

# %%
flow = kd.flows.ParticleFlow(drift, step_size=1.0)
history = flow.run(start, data, num_steps=10 if quick else 200)
energies = np.array(history["energy"])
print(f"energy from {energies[0]:.3g} to {energies[-1]:.3g}")
print("largest rise in a step:", max(np.diff(energies).max(), 0.0))

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
plt.close(figure)

# %% [markdown]
# ## A generator
#
# The drift goes where any other goes.

# %%
floor = kd.metrics.floor(
    kd.metrics.sliced_wasserstein,
    kd.datasets.two_moons(20 * size, seed=2),
    n=size,
    repeats=8,
)
frechet = kd.energies.FrechetDistance()


def report(model):
    drawn = model.generate(size, seed=0)
    distance = kd.metrics.sliced_wasserstein(drawn, unseen)
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
# Compare with the Laplacian drift of `guides/drifting_in_five_minutes.py`: the
# moons are there, but blurred. This energy gets flat as samples arrive, as the
# curve above shows, and its last part is slow for a generator too. Which energy
# is worth training with is seen only by training with it.
#
# ## Polishing
#
# A generator that is trained already can be trained on with another drift: make
# a second model of the same generator. The Fréchet distance compares means and
# covariances only, so it makes no generator from nothing, but it removes what
# is left of the error in them. On features of a good network (its argument
# `encoder`) that is what the FID measures. Here it is taken on the samples
# themselves. Polish with a small learning rate.

# %%
polished = kd.DriftModel(generator, kd.drifts.VariationalDrift(frechet), seed=1)
polished.compile(keras.optimizers.Adam(3e-4))
polished.fit(
    training_data, batch_size=size, epochs=1 if quick else 5, verbose=0
)
improved = report(polished)

figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
titles = ("trained", "polished", "data")
for axis, points, title in zip(
    axes, (trained, improved, population), titles, strict=True
):
    axis.scatter(*points.T, s=1)
    axis.set(title=title, xlim=(-3, 3), ylim=(-3, 3), aspect="equal")
figure.savefig(folder / "energy_generator.png", dpi=110)
plt.close(figure)

# %% [markdown]
# The Fréchet distance falls to a fraction, and the moons are as blurred as they
# were: it does not see that. So watch another distance when polishing, as here.
#
# ## Where to go from here
#
# - `energies`: the ones that come with the package, from the smoothed KL
#   divergence to the Sinkhorn divergence.
# - `first_variation`: write it beside `value` where what a sample feels can be
#   computed with the others held fixed. It is cheaper then.
# - `drifts.Sum`: several drifts at once, yours among them.
# - A drift that no energy has, such as `KernelDrift`, is a subclass of
#   `drifts.Drift` that writes `velocities`.
