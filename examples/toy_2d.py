"""Trains a one-step generator of points in the plane.

The bandwidths are planned from the data and annealed during training. Then
samples are generated in one forward pass and compared with the data:

    KERAS_BACKEND=jax python examples/toy_2d.py --toy checkerboard
    KERAS_BACKEND=jax python examples/toy_2d.py --toy all

`KERAS_BACKEND` is the backend that you installed: `jax`, `tensorflow` or
`torch`. Figures and the results are written to `outputs/toy_2d`. One
toy takes about a minute on two CPU cores.
"""

import argparse
import functools
import json
import pathlib
import time

import keras
import matplotlib.pyplot as plt
import numpy as np

import keras_drift as kd

BATCH_SIZE = 1024
# The narrowest sharpens; the others keep separate modes equally full.
BANDWIDTH_RATIOS = (1.0, 0.35, 0.12)
# The sliced Wasserstein distance of one draw of 4,000 samples varies by a
# third, so distances are means over several.
REPEATS = 12
MIXTURES = {
    "eight_gaussians": kd.datasets.GaussianMixture.ring(),
    "twenty_five_gaussians": kd.datasets.GaussianMixture.grid(),
}


def train(data, held_out, epochs, seed, callbacks=()):
    num_steps = epochs * (len(data) // BATCH_SIZE)
    plan = kd.spectral.plan_training(data, num_steps, ratios=BANDWIDTH_RATIOS)
    model = kd.DriftModel(
        kd.generators.MLP(
            output_dim=2,
            noise_dim=8,
            hidden_dims=(128,) * 4,
            activation="relu",
            num_codes=6,  # samples in separate pieces, without smears
        ),
        kd.drifts.KernelDrift(plan.kernel),
        seed=seed,
    )
    warmup_steps = min(50, num_steps // 4)
    learning_rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=num_steps - warmup_steps,
        alpha=0.01,
        warmup_target=1e-2,
        warmup_steps=warmup_steps,
    )
    # Adam takes several times as many steps to samples as crisp as these.
    model.compile(
        keras.optimizers.Muon(learning_rate, use_ema=True, ema_momentum=0.99)
    )
    history = model.fit(
        data,
        batch_size=BATCH_SIZE,
        epochs=epochs,
        callbacks=[
            *callbacks,
            kd.callbacks.BandwidthAnnealing(plan),
            kd.callbacks.DriftMonitor(held_out),
        ],
    )
    return model, history.history


def measure(model, toy, num_samples):
    """Mean distances to held-out data over several draws, and their floors."""
    numbers = {"num_samples": num_samples}
    for name, function in (
        ("sliced_wasserstein", kd.metrics.sliced_wasserstein),
        ("precision", kd.metrics.nearest_neighbor_precision),  # sees blur
        ("recall", kd.metrics.nearest_neighbor_recall),  # sees missing modes
    ):
        distances = [
            function(
                model.generate(num_samples, seed=seed, batch_size=8192),
                toy(num_samples, seed=1000 + seed),
            )
            for seed in range(REPEATS)
        ]
        distance = float(np.mean([float(each) for each in distances]))
        floor = floor_of(function, toy, num_samples)
        numbers[name] = distance
        numbers[f"{name}_floor"] = floor
        numbers[f"{name}_over_floor"] = distance / floor
    held_out = toy(num_samples, seed=1000)
    samples = model.generate(num_samples, seed=0, batch_size=8192)
    numbers["coverage"] = float(kd.metrics.coverage(samples, held_out))
    return numbers


@functools.cache  # the same for all models
def floor_of(function, toy, num_samples):
    """The mean distance of two sets of data."""
    data = toy(8 * num_samples, seed=2000)
    floor = kd.metrics.floor(function, data, n=num_samples, repeats=REPEATS)
    return float(floor)


def modes_kept(samples, mixture):
    """The share of modes that hold at least half of their share of samples."""
    distances = np.linalg.norm(samples[:, None] - mixture.means, axis=-1)
    near = distances.min(axis=1) < 4 * mixture.stds[0]
    counts = np.bincount(
        distances.argmin(axis=1)[near], minlength=distances.shape[1]
    )
    return float(np.mean(counts >= 0.5 * len(samples) / len(counts)))


def plot(samples, data, history, path):
    figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
    for axis, points, title in zip(
        axes, (data, samples), ("data", "generated in one step"), strict=False
    ):
        axis.scatter(*points[:8000].T, s=1, linewidths=0, alpha=0.6)
        axis.set(title=title, aspect="equal", xlim=(-2.5, 2.5))
        axis.set(ylim=(-2.5, 2.5), xticks=[], yticks=[])
    curves = axes[2]
    for name in (
        "monitor_distance",
        "monitor_floor",
        "monitor_precision",
        "monitor_precision_floor",
        "bandwidth",
    ):
        epochs = np.arange(1, len(history[name]) + 1)
        label = name.removeprefix("monitor_").replace("_", " ")
        curves.semilogy(epochs, history[name], label=label)
    curves.set(title="training history", xlabel="epoch")
    curves.legend(fontsize=8)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def plot_all(pairs, path):
    """Data above, samples below, for each toy."""
    figure, axes = plt.subplots(
        2, len(pairs), figsize=(2 * len(pairs), 4), layout="constrained"
    )
    for column, (name, both) in zip(axes.T, pairs.items(), strict=True):
        for axis, points in zip(column, both, strict=True):
            axis.scatter(*points[:4000].T, s=1, linewidths=0, alpha=0.6)
            axis.set(aspect="equal", xlim=(-2.4, 2.4), ylim=(-2.4, 2.4))
            axis.set(xticks=[], yticks=[])
        column[0].set_title(name.replace("_", " "), fontsize=9)
    axes[0, 0].set_ylabel("data")
    axes[1, 0].set_ylabel("generated in one step")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def run(name, args):
    """Trains on a toy; returns data and generated samples."""
    keras.utils.set_random_seed(args.seed)
    toy = kd.datasets.TOYS[name]
    data = toy(BATCH_SIZE * args.steps_per_epoch, seed=args.seed)
    print(
        f"Training on {len(data)} points of {name} with "
        f"{keras.backend.backend()}: it has converged when "
        "`monitor_distance` reaches `monitor_floor`."
    )
    start = time.perf_counter()
    model, history = train(data, toy(2000, seed=999), args.epochs, args.seed)
    numbers = {"seconds_of_fit": time.perf_counter() - start}
    numbers.update(measure(model, toy, args.num_samples))
    picture = args.output / f"{name}.png"
    samples = model.generate(8000, seed=0)
    if name in MIXTURES:
        numbers["modes_kept"] = modes_kept(samples, MIXTURES[name])
    plot(samples, data, history, picture)
    (args.output / f"{name}.json").write_text(json.dumps(numbers, indent=2))
    for key, value in numbers.items():
        print(f"{key:30s} {value:10.4f}")
    print(f"Data, generated samples and training history: {picture}")
    return data, samples


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    toys = sorted(kd.datasets.TOYS)
    parser.add_argument("--toy", choices=[*toys, "all"], default="checkerboard")
    parser.add_argument("--epochs", type=int, default=35)
    parser.add_argument("--steps-per-epoch", type=int, default=100)
    parser.add_argument("--num-samples", type=int, default=4000)
    parser.add_argument(
        "--output", type=pathlib.Path, default=pathlib.Path("outputs/toy_2d")
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    args.output.mkdir(parents=True, exist_ok=True)
    if args.toy != "all":
        run(args.toy, args)
        return
    pairs = {name: run(name, args) for name in toys}
    plot_all(pairs, args.output / "all.png")
    print(f"All toys: {args.output / 'all.png'}")


if __name__ == "__main__":
    main()
