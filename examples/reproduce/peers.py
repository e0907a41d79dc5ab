"""Peers of a drifting model: a GAN, an MMD network and flow matching.

Keras models of points that are trained by `fit(data)` and sampled by
`generate`, as a `keras_drift.DriftModel` is. Each one writes its loss in
`compute_loss`, in terms of `keras.ops`, so Keras' own trainers run it on every
backend.
"""

import keras
import numpy as np
from keras import ops


class OneStepPeer(keras.Model):
    """Base class of models that sample in one forward pass of a generator.

    A training step generates as many samples as the batch has data. Subclasses
    write `compute_loss`, where `x` are data and `y_pred` are samples.
    """

    def __init__(self, generator, seed=None):
        super().__init__()
        self.generator = generator
        self.noise_seed = keras.random.SeedGenerator(seed)

    def call(self, data, training=None):
        noise = self.generator.sample_noise(ops.shape(data)[0], self.noise_seed)
        return self.generator(noise, training=training)

    def generate(self, n, seed=None, batch_size=8192):
        """Returns `n` samples, a NumPy array."""
        noise = self.generator.sample_noise(n, seed)
        return self.generator.predict(noise, batch_size=batch_size, verbose=0)


class GAN(OneStepPeer):
    """Relativistic GAN with zero-centered gradient penalties (R1 and R2).

    The discriminator compares a sample with a datum, and its gradient is
    penalized at both. Generator and discriminator take a step at a time, from
    one loss and by one optimizer: `stop_gradient` separates them.

    Args:
        generator: a `keras_drift.generators.Generator` of points.
        hidden_dims: ints, the width of each layer of the discriminator.
        penalty: float >= 0, the weight of the penalties, gamma in the paper.
        seed: int or `None`, of the noise.

    Reference:

    - [Huang et al., 2024](https://arxiv.org/abs/2501.05441)
    - [Mescheder et al., 2018](https://arxiv.org/abs/1801.04406)
    """

    def __init__(self, generator, hidden_dims, penalty, seed=None):
        super().__init__(generator, seed)
        self.discriminator = Discriminator(hidden_dims)
        self.discriminator.build(generator.output_shape)
        self.penalty = penalty

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        del y, sample_weight
        real, real_slope = self.value_and_slope(x)
        fake, fake_slope = self.value_and_slope(ops.stop_gradient(y_pred))
        penalty = ops.mean(ops.square(real_slope) + ops.square(fake_slope))
        judged = self.discriminator(y_pred, frozen=True)
        return (
            ops.mean(ops.softplus(fake - real))
            + 0.5 * self.penalty * penalty
            + ops.mean(ops.softplus(ops.stop_gradient(real) - judged))
        )

    def value_and_slope(self, x):
        """Logits, and slopes whose mean square is that of the gradient."""
        # In a random direction v of unit variance, E (v g)^2 = |g|^2.
        direction = keras.random.normal(ops.shape(x), seed=self.noise_seed)
        return self.discriminator.value_and_slope(x, direction)


class Discriminator(keras.layers.Layer):
    """Multilayer perceptron from points to logits, with their slopes.

    `keras.ops` has no gradient inside a loss. The derivative of the logit along
    a direction is propagated forward beside the activations instead, which is
    exact and takes one more matrix product for each layer.

    Args:
        hidden_dims: ints, the width of each hidden layer.

    Call arguments:
        x: float tensor `(n, d)`.
        frozen: bool, whether the weights are constants.

    Returns:
        The logits `(n, 1)`.
    """

    def __init__(self, hidden_dims):
        super().__init__()
        self.dense = [keras.layers.Dense(width) for width in hidden_dims]
        self.dense.append(keras.layers.Dense(1))

    def build(self, input_shape):
        for layer in self.dense:
            layer.build(input_shape)
            input_shape = layer.compute_output_shape(input_shape)

    def call(self, x, frozen=False):
        for i, layer in enumerate(self.dense):
            kernel, bias = (ops.convert_to_tensor(w) for w in layer.weights)
            if frozen:
                kernel, bias = map(ops.stop_gradient, (kernel, bias))
            x = ops.matmul(x if i == 0 else ops.silu(x), kernel) + bias
        return x

    def value_and_slope(self, x, direction):
        """Logits and their derivatives along `direction`, both `(n, 1)`."""
        first, *others = self.dense
        x = first(x)
        slope = ops.matmul(direction, first.kernel)
        for layer in others:
            gate = ops.sigmoid(x)
            # The derivative of the activation, x * sigmoid(x).
            slope = gate * (1.0 + x * (1.0 - gate)) * slope
            x = layer(x * gate)
            slope = ops.matmul(slope, layer.kernel)
        return x, slope


class MMDNetwork(OneStepPeer):
    """Generator trained by the squared MMD of samples and data.

    The kernel is a weighted sum of Gaussians, each with half the bandwidth of
    the one before: `k_h(r)**4` is the kernel of half the bandwidth `h`, so all
    of them cost one exponential.

    Args:
        generator: a `keras_drift.generators.Generator` of points.
        bandwidth: float > 0, the largest bandwidth.
        num_bandwidths: int >= 1.
        power: float; the weight of a Gaussian is its bandwidth to the
            `-power`. Above zero the fine ones count more.
        seed: int or `None`, of the noise.

    Reference:

    - [Li et al., 2015](https://arxiv.org/abs/1502.02761)
    """

    def __init__(self, generator, bandwidth, num_bandwidths, power, seed=None):
        super().__init__(generator, seed)
        self.bandwidth = bandwidth
        self.num_bandwidths = num_bandwidths
        self.power = power

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        del y, sample_weight
        samples = ops.stop_gradient(y_pred)
        gradient = self.witness_gradient(
            samples, samples
        ) - self.witness_gradient(samples, x)
        # Its gradient is that of the squared MMD. Differentiating the sums over
        # all pairs instead takes several times as long.
        return ops.sum(y_pred * ops.stop_gradient(gradient))

    def witness_gradient(self, x, y):
        """Gradient in `x` of twice the mean kernel of `x` and all `y`, over n.

        Args:
            x: float tensor `(n, d)`.
            y: float tensor `(m, d)`; if they are the samples `x` themselves,
                those without the sample are averaged.

        Returns:
            float tensor `(n, d)`.
        """
        n, m = ops.shape(x)[0], ops.shape(y)[0]
        num_others = ops.cast(m - 1 if x is y else m, "float32")
        weights = self.slopes(x, y)
        mass = ops.sum(weights, axis=1, keepdims=True)
        total = ops.matmul(weights, y) - mass * x
        return 2.0 * total / (ops.cast(n, "float32") * num_others)

    def slopes(self, x, y):
        """Kernel of all pairs with each Gaussian over its variance, `(n, m)`.

        Times `y - x`, it is the gradient of the kernel in `x`.
        """
        squared = (
            ops.sum(ops.square(x), axis=-1)[:, None]
            + ops.sum(ops.square(y), axis=-1)
            - 2.0 * ops.matmul(x, ops.transpose(y))
        )
        variance = self.bandwidth**2
        each = ops.exp(ops.minimum(-squared, 0.0) / (2 * variance))
        total = each / variance
        for i in range(1, self.num_bandwidths):
            each = ops.square(ops.square(each))
            total += each * 2.0 ** ((self.power + 2) * i) / variance
        return total


class FlowMatching(keras.Model):
    """Velocity field that transports a Gaussian to the data along an ODE.

    The path from noise `z` to a datum `x` is the straight line
    `(1 - t) z + t x`; the network is regressed onto its velocity `x - z`.

    Args:
        dim: int, the dimension of a point.
        hidden_dims: ints, the width of each hidden layer.
        activation: what Keras takes as one.
        num_steps: int >= 1, Euler steps of `generate`. It can be assigned.
        seed: int or `None`, of noise and times.

    Reference:

    - [Lipman et al., 2023](https://arxiv.org/abs/2210.02747)
    - [Liu et al., 2023](https://arxiv.org/abs/2209.03003)
    """

    def __init__(self, dim, hidden_dims, activation, num_steps=10, seed=None):
        super().__init__()
        point = keras.Input((dim,))
        time = keras.Input((1,))
        x = keras.layers.Concatenate()([point, time])
        for width in hidden_dims:
            x = keras.layers.Dense(width, activation)(x)
        self.velocity = keras.Model(
            [point, time], keras.layers.Dense(dim)(x), name="velocity"
        )
        self.dim = dim
        self.num_steps = num_steps
        self.noise_seed = keras.random.SeedGenerator(seed)

    def call(self, data, training=None):
        """The error of the velocity at random points of random paths."""
        n = ops.shape(data)[0]
        noise = keras.random.normal((n, self.dim), seed=self.noise_seed)
        time = keras.random.uniform((n, 1), seed=self.noise_seed)
        point = (1.0 - time) * noise + time * data
        velocity = self.velocity([point, time], training=training)
        return velocity - (data - noise)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        del x, y, sample_weight
        return ops.mean(ops.sum(ops.square(y_pred), axis=-1))

    def generate(self, n, seed=None, batch_size=8192):
        """Returns `n` samples, a NumPy array, by `num_steps` Euler steps."""
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((n, self.dim), "float32")
        for step in range(self.num_steps):
            time = np.full((n, 1), step / self.num_steps, "float32")
            velocity = self.velocity.predict(
                [x, time], batch_size=batch_size, verbose=0
            )
            x = x + velocity / self.num_steps
        return x
