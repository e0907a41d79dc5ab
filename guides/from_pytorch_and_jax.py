# %% [markdown]
# # From PyTorch or JAX
#
# Nothing here needs `compile` and `fit`. On PyTorch a generator is a
# `torch.nn.Module`, on JAX a pure function of its parameters, and a drift is a
# function of tensors. This guide trains a generator in a custom training loop,
# and then moves the samples of a network that is not a Keras model.
#
#     KERAS_BACKEND=torch python guides/from_pytorch_and_jax.py
#     KERAS_BACKEND=jax python guides/from_pytorch_and_jax.py
#
# Figures are written to `outputs/guides`. With TensorFlow the guide runs as
# well, under a `tf.GradientTape`.

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
backend = keras.backend.backend()

generator = kd.generators.MLP(output_dim=2)
drift = kd.drifts.KernelDrift(kd.kernels.Laplacian(bandwidth=0.2))
data = kd.datasets.two_moons(10_000, seed=0)
num_steps, batch_size = (3, 64) if quick else (1500, 512)
rng = np.random.default_rng(0)


def batch():
    """Noise and data of one step, as NumPy arrays."""
    noise = generator.sample_noise(batch_size, seed=int(rng.integers(2**31)))
    return noise, data[rng.integers(len(data), size=batch_size)]


# %% [markdown]
# ## A custom training loop
#
# The whole method is in the body of this loop: generate samples, compute their
# targets with the drift, and regress onto these targets, which are constants.
# On PyTorch two lines make a module with its parameters:
#
#     module = generator
#     parameters = list(module.parameters())
#
# It has a `state_dict`, moves with `.to(device)`, and is a part of larger
# modules. On JAX two lines make a pure function:
#
#     parameters = [v.value for v in generator.trainable_variables]
#     apply = lambda p, inputs: generator.stateless_call(p, [], inputs)[0]
#
# `[]` are the variables that are not trained, of which these generators have
# none. The function can be compiled, differentiated and mapped, and any
# optimizer of optax takes the list of its parameters.

# %%
if backend == "torch":
    import torch

    module = generator
    parameters = list(module.parameters())

    optimizer = torch.optim.Adam(parameters, lr=3e-3)
    for _ in range(num_steps):
        inputs, positives = batch()
        x = module({k: torch.as_tensor(v) for k, v in inputs.items()})
        velocity = drift(x.detach(), torch.as_tensor(positives))
        loss = torch.nn.functional.mse_loss(x, x.detach() + velocity)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

elif backend == "jax":
    import jax

    parameters = [v.value for v in generator.trainable_variables]

    def apply(parameters, inputs):
        return generator.stateless_call(parameters, [], inputs)[0]

    @jax.jit
    def step(parameters, moments, inputs, positives):
        """A step of gradient descent with momentum."""

        def loss(parameters):
            x = apply(parameters, inputs)
            target = jax.lax.stop_gradient(x + drift(x, positives))
            return ((x - target) ** 2).mean()

        gradients = jax.grad(loss)(parameters)
        moments = jax.tree.map(lambda m, g: 0.9 * m + g, moments, gradients)
        update = jax.tree.map(lambda p, m: p - 0.05 * m, parameters, moments)
        return update, moments

    moments = [0.0 * each for each in parameters]
    for _ in range(num_steps):
        parameters, moments = step(parameters, moments, *batch())

    # Back to the generator, which has kept its first weights.
    for variable, value in zip(
        generator.trainable_variables, parameters, strict=True
    ):
        variable.assign(value)

else:
    import tensorflow as tf

    optimizer = keras.optimizers.Adam(3e-3)
    for _ in range(num_steps):
        inputs, positives = batch()
        with tf.GradientTape() as tape:
            x = generator(inputs)
            target = tf.stop_gradient(x + drift(x, positives))
            loss = tf.reduce_mean((x - target) ** 2)
        variables = generator.trainable_variables
        gradients = tape.gradient(loss, [v.value for v in variables])
        optimizer.apply(gradients, variables)

# %% [markdown]
# ## Back to the library
#
# A `DriftModel` around the same generator has the rest: samples in batches,
# metrics, presets that load on every backend.

# %%
model = kd.DriftModel(generator, drift)
samples = model.generate(2000, seed=0)
held_out = kd.datasets.two_moons(2000, seed=1)
metric = kd.metrics.SlicedWasserstein()
metric.update_state(held_out, samples)
print({name: round(float(v), 3) for name, v in metric.result().items()})
model.save_to_preset(folder / "from_a_loop", {"description": "two moons"})

figure, axes = plt.subplots(1, 2, figsize=(7, 3.5), layout="constrained")
for axis, points, title in zip(
    axes, (samples, held_out), ("generated in one step", "data"), strict=True
):
    axis.scatter(*points.T, s=2)
    axis.set(title=title, xlim=(-3, 3), ylim=(-3, 3), aspect="equal")
figure.savefig(folder / "own_loop.png", dpi=110)

# %% [markdown]
# ## Tensors in, tensors out
#
# A drift takes the tensors of its backend as they are, and returns one on the
# same device: nothing is copied or transferred to the host. So the network need
# not be a Keras model. `x` may be the output of any module or function, of
# shape `(n, d)`, or `(groups, n, d)` where each group, such as a class, has
# data of its own. Features of an encoder are compared the same way.
#
# Where `drift.differentiable` says so, the velocity has gradients: with respect
# to the samples, and to the negatives if they are given.

# %%
points = np.random.default_rng(0).normal(size=(256, 2)).astype("float32")
if backend == "torch":
    x = torch.tensor(points, requires_grad=True)
    velocity = drift(x, torch.as_tensor(data[:500]))
    velocity.square().mean().backward()
    gradient = x.grad
elif backend == "jax":
    x, positives = jax.numpy.asarray(points), jax.numpy.asarray(data[:500])
    velocity = jax.jit(drift)(x, positives)
    slope = jax.jit(jax.grad(lambda x: (drift(x, positives) ** 2).mean()))
    gradient = slope(x)
else:
    x = tf.constant(points)
    with tf.GradientTape() as tape:
        tape.watch(x)
        velocity = drift(x, data[:500])
        square = tf.reduce_mean(velocity**2)
    gradient = tape.gradient(square, x)
print("velocity and gradient:", velocity.shape, gradient.shape)
print("differentiable:", drift.differentiable)

# %% [markdown]
# ## What differs from plain code
#
# - *Constants of a compiled function.* A bandwidth is a variable of its drift.
#   Inside `jax.jit` it is a constant, unless it is an argument:
#   `drift.stateless_call([], state, x, positives)[0]`, with
#   `state = [v.value for v in drift.non_trainable_variables]` read anew after
#   `drift.anneal(0.1)`. PyTorch reads it in every call.
# - *Precision.* Drifts compute in float32 and return float32, also for inputs
#   in half precision.
# - *Inputs of a generator* are a dict: `noise`, with classes also `labels` and
#   `guidance`. `generator.sample_inputs(n, labels)` makes one.
# - *Targets are constants.* Detach them, as above. Otherwise the loss decreases
#   by shrinking the field, and the samples stay where they are:
#   `examples/reproduce/stop_gradient.py` shows it.
# - *Data.* `model.fit` takes a `torch.utils.data.DataLoader` as well.
#
# `examples/nano.py` is the whole method in NumPy, for a translation to anything
# else. `guides/drifting_in_five_minutes.py` does with `fit` what is done by
# hand here.
