"""Trains a one-step generator of points in the plane.

The bandwidth of the drift is annealed during training. Then samples are
generated in one forward pass and compared with the data:

    KERAS_BACKEND=jax python examples/toy_2d.py --toy checkerboard

`KERAS_BACKEND` is the backend that you installed: `jax`, `tensorflow` or
`torch`. A figure and the results are written to `outputs/toy_2d`.
"""

import argparse
import json
import math
import pathlib
import time

import keras
import matplotlib.pyplot as plt
import numpy as np

import keras_drift as kd

BATCH_SIZE = 1024


def train(data, epochs, seed):
    steps_per_epoch = len(data) // BATCH_SIZE
    model = kd.DriftModel(
        kd.generators.MLP(output_dim=2, noise_dim=4),
        kd.drifts.KernelDrift(kd.kernels.Laplacian(0.5)),
        seed=seed,
    )
    num_steps = epochs * steps_per_epoch
    learning_rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=num_steps,
        alpha=0.02,
        warmup_target=1e-2,
        warmup_steps=50,
    )
    model.compile(
        keras.optimizers.Adam(learning_rate, use_ema=True, ema_momentum=0.995),
        metrics=[kd.metrics.SlicedWasserstein()],
    )
    # Wide at first, for the coarse structure; narrow after 70% of the steps.
    wide, narrow = 0.5, 0.2
    schedule = kd.schedules.ExponentialAnnealing(
        wide, narrow, rate=math.log(wide / narrow) / (0.7 * num_steps)
    )
    history = model.fit(
        data,
        batch_size=BATCH_SIZE,
        epochs=epochs,
        callbacks=[kd.callbacks.BandwidthAnnealing(schedule)],
    )
    return model, history.history


def measure(model, toy, num_samples):
    """Mean distances to held-out data over three seeds, and their floors."""
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
            for seed in range(3)
        ]
        distance = float(np.mean([float(each) for each in distances]))
        data = toy(8 * num_samples, seed=2000)
        floor = float(kd.metrics.floor(function, data, n=num_samples))
        numbers[name] = distance
        numbers[f"{name}_floor"] = floor
        numbers[f"{name}_over_floor"] = distance / floor
    return numbers


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
        "sliced_wasserstein",
        "sliced_wasserstein_floor",
        "drift_norm",
        "bandwidth",
    ):
        epochs = np.arange(1, len(history[name]) + 1)
        curves.semilogy(epochs, history[name], label=name.replace("_", " "))
    curves.set(title="training history", xlabel="epoch")
    curves.legend(fontsize=8)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--toy", choices=sorted(kd.datasets.TOYS), default="checkerboard"
    )
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--steps-per-epoch", type=int, default=100)
    parser.add_argument("--num-samples", type=int, default=5000)
    parser.add_argument(
        "--output", type=pathlib.Path, default=pathlib.Path("outputs/toy_2d")
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    keras.utils.set_random_seed(args.seed)
    toy = kd.datasets.TOYS[args.toy]
    data = toy(BATCH_SIZE * args.steps_per_epoch, seed=args.seed)
    print(
        f"Training on {len(data)} points of {args.toy} with "
        f"{keras.backend.backend()}: it has converged when "
        "`sliced_wasserstein` reaches its floor."
    )
    start = time.perf_counter()
    model, history = train(data, args.epochs, args.seed)
    numbers = {"seconds_of_fit": time.perf_counter() - start}
    numbers.update(measure(model, toy, args.num_samples))
    args.output.mkdir(parents=True, exist_ok=True)
    picture = args.output / f"{args.toy}.png"
    plot(model.generate(8000, seed=0), data, history, picture)
    (args.output / f"{args.toy}.json").write_text(json.dumps(numbers, indent=2))
    for name, value in numbers.items():
        print(f"{name:30s} {value:10.4f}")
    print(f"Data, generated samples and training history: {picture}")


if __name__ == "__main__":
    main()
