"""A drifting model in NumPy: the whole method, with every shape.

    python examples/nano.py

No Keras, no backend, no automatic gradient: noise, a small network, a drift
field, a regression, Adam. It learns two moons in about a minute on one core.
`tests/nano_test.py` checks field, loss, gradients and samples against the
library, which does the same with `DriftModel(generators.MLP(2))` and
`KernelDrift(kernels.Laplacian(bandwidth))`.

n generated samples, m data, d coordinates, z coordinates of noise, h hidden
units.
"""

import argparse
import itertools

import numpy as np


def two_moons(m, rng):
    """Points on two half circles, with noise: (m, 2)."""
    angle = rng.uniform(0, np.pi, m)  # (m,)
    upper = rng.integers(2, size=m) == 1  # (m,)
    x = np.where(upper, np.cos(angle), 1 - np.cos(angle)) - 0.5  # (m,)
    y = np.where(upper, np.sin(angle), 0.5 - np.sin(angle)) - 0.25  # (m,)
    noise = 0.05 * rng.normal(size=(m, 2))  # (m, 2)
    return 1.2 * np.stack([x, y], axis=1) + noise  # (m, 2)


# === The drift: where should every sample go? ===


def mean_near(x, cloud, bandwidth, without_self=False):
    """Kernel-weighted mean of a cloud as seen from each sample.

    x (n, d), cloud (m, d) -> (n, d)
    """
    difference = x[:, None, :] - cloud[None, :, :]  # (n, m, d)
    distance = np.sqrt((difference**2).sum(axis=-1))  # (n, m)
    log_kernel = -distance / bandwidth  # (n, m), Laplacian
    if without_self:  # a sample does not repel itself; here m = n
        np.fill_diagonal(log_kernel, -np.inf)
    # The largest is subtracted: far from all points every kernel is 0 / 0.
    log_kernel -= log_kernel.max(axis=1, keepdims=True)  # (n, m)
    weight = np.exp(log_kernel)  # (n, m)
    weight /= weight.sum(axis=1, keepdims=True)  # (n, m), rows sum to 1
    return weight @ cloud  # (n, d)


def drift(x, positives, bandwidth):
    """Toward the data, away from the other samples: 0 where they agree.

    x (n, d), positives (m, d) -> velocity (n, d)
    """
    attraction = mean_near(x, positives, bandwidth)  # (n, d)
    repulsion = mean_near(x, x, bandwidth, without_self=True)  # (n, d)
    return attraction - repulsion  # (n, d)


# === The generator: noise to a sample, in one forward pass ===


def initialize(sizes, rng):
    """Weights (inputs, outputs) and biases (outputs,) of dense layers."""
    weights = []
    for inputs, outputs in itertools.pairwise(sizes):
        limit = np.sqrt(6 / (inputs + outputs))
        weights.append(rng.uniform(-limit, limit, (inputs, outputs)))
        weights.append(np.zeros(outputs))
    return weights


def generate(weights, noise):
    """Runs the network; keeps what its gradient needs.

    noise (n, z) -> samples (n, d)
    """
    kept, a = [], noise  # a: (n, z), then (n, h)
    for layer in range(0, len(weights), 2):
        u = a @ weights[layer] + weights[layer + 1]  # (n, h), at last (n, d)
        kept.append((a, u))
        a = u / (1 + np.exp(-u))  # (n, h), silu
    return u, kept  # the last layer is linear: (n, d)


def gradients(weights, kept, upstream):
    """The gradient of the loss for every weight, by the chain rule.

    upstream (n, d), the gradient for the samples -> like `weights`
    """
    found = [None] * len(weights)
    for layer in reversed(range(0, len(weights), 2)):
        a, u = kept[layer // 2]  # (n, inputs), (n, outputs)
        if layer < len(weights) - 2:
            s = 1 / (1 + np.exp(-u))  # (n, h)
            upstream = upstream * s * (1 + u * (1 - s))  # (n, h), of silu
        found[layer] = a.T @ upstream  # (inputs, outputs)
        found[layer + 1] = upstream.sum(axis=0)  # (outputs,)
        upstream = upstream @ weights[layer].T  # (n, inputs)
    return found


# === Training: a regression onto the moved samples ===


def loss_and_gradients(weights, noise, positives, bandwidth, step_size=1.0):
    """Noise (n, z), positives (m, d) -> float, list like `weights`, (n, d)."""
    x, kept = generate(weights, noise)  # (n, d)
    velocity = drift(x, positives, bandwidth)  # (n, d)
    # The target is a constant: no gradient flows through it. Otherwise the
    # network could make the field small without moving a sample.
    target = x + step_size * velocity  # (n, d)
    loss = np.mean((x - target) ** 2)  # one number, over n and d
    upstream = 2 * (x - target) / x.size  # (n, d)
    return loss, gradients(weights, kept, upstream), velocity


def train(data, steps, rng, batch=256, noise_dim=8, bandwidths=(0.5, 0.05)):
    """Data (m, d) -> weights; the kernel narrows from step to step."""
    weights = initialize([noise_dim, 128, 128, data.shape[1]], rng)
    first = [np.zeros_like(w) for w in weights]  # moments of Adam
    second = [np.zeros_like(w) for w in weights]
    for step in range(1, steps + 1):
        share = (step - 1) / steps  # from 0 to 1
        bandwidth = bandwidths[0] * (bandwidths[1] / bandwidths[0]) ** share
        rate = 3e-3 * (1 - share)
        positives = data[rng.integers(len(data), size=batch)]  # (m, d)
        noise = rng.normal(size=(batch, noise_dim))  # (n, z)
        loss, grads, velocity = loss_and_gradients(
            weights, noise, positives, bandwidth
        )
        for w, g, v, s in zip(weights, grads, first, second, strict=True):
            v += 0.1 * (g - v)
            s += 0.001 * (g**2 - s)
            unbiased = v / (1 - 0.9**step), s / (1 - 0.999**step)
            w -= rate * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-7)
        if step % max(1, steps // 10) == 0:
            norm = np.sqrt((velocity**2).sum(axis=1).mean())
            print(
                f"step {step:5d}  bandwidth {bandwidth:.3f}  loss {loss:.5f}"
                f"  drift norm {norm:.4f}"
            )
    return weights


def energy_distance(x, y):
    """How far two clouds (n, d) and (m, d) are apart: 0 if they are one."""

    def mean_distance(a, b):
        difference = a[:, None, :] - b[None, :, :]  # (n, m, d)
        return np.sqrt((difference**2).sum(axis=-1)).mean()

    return 2 * mean_distance(x, y) - mean_distance(x, x) - mean_distance(y, y)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    rng = np.random.default_rng(args.seed)
    weights = train(two_moons(10_000, rng), args.steps, rng)
    held_out, others = two_moons(1000, rng), two_moons(1000, rng)  # (1000, 2)
    noise = rng.normal(size=(1000, len(weights[0])))  # (1000, z)
    samples, _ = generate(weights, noise)  # (1000, 2)
    print(
        f"energy distance of samples {energy_distance(samples, held_out):.4f}, "
        f"of noise {energy_distance(noise[:, :2], held_out):.4f}, of other "
        f"data (the floor) {energy_distance(others, held_out):.4f}"
    )
    return samples


if __name__ == "__main__":
    main()
