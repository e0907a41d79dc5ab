"""Helpers of the reproductions: arguments, training on toys, results."""

import argparse
import functools
import json
import os
import pathlib
import tempfile
import time

# Programs compiled for one toy, or by one script, are reused for the others.
# Before JAX is imported.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR",
    os.path.join(tempfile.gettempdir(), "keras_drift_programs"),
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")

import keras
import matplotlib.pyplot as plt
import numpy as np

import keras_drift as kd

OUTPUT = pathlib.Path("outputs/reproduce")


def parser(description, **sizes):
    """Arguments of a script; `sizes` are the integers that set its run time."""
    found = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for name, value in sizes.items():
        found.add_argument(
            f"--{name.replace('_', '-')}", type=int, default=value, help="."
        )
    found.add_argument(
        "--seed", type=int, default=0, help="of all random numbers"
    )
    found.add_argument("--output", type=pathlib.Path, default=OUTPUT)
    return found


def write(args, name, figure, numbers):
    """Writes `name.png` and `name.json`, and prints their paths."""
    args.output.mkdir(parents=True, exist_ok=True)
    picture = args.output / f"{name}.png"
    figure.savefig(picture, dpi=120)
    plt.close(figure)
    numbers = {"backend": keras.backend.backend(), **numbers}
    path = args.output / f"{name}.json"
    path.write_text(json.dumps(numbers, indent=2))
    print(f"figure: {picture}\nresults: {path}")


def network():
    """A small generator of points in the plane."""
    return kd.generators.MLP(output_dim=2, noise_dim=4)


def crisp_network():
    """The generator of `examples/toy_2d.py`, whose samples are crisp."""
    return kd.generators.MLP(
        output_dim=2,
        noise_dim=8,
        hidden_dims=(128,) * 4,
        activation="relu",
        num_codes=6,
    )


def train(
    drift,
    data,
    num_steps,
    batch_size=512,
    learning_rate=5e-3,
    final_rate=0.02,
    seed=0,
    generator=None,
    callbacks=(),
    averaged=False,
    optimizer=keras.optimizers.Adam,
    **kwargs,
):
    """Trains a generator of points in the plane; returns `(model, seconds)`.

    The batches of the data are repeated in the same order; the learning rate
    decays along a cosine to `final_rate` times its maximum.
    """
    model = kd.DriftModel(generator or network(), drift, seed=seed, **kwargs)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=num_steps,
        alpha=final_rate,
        warmup_target=learning_rate,
        warmup_steps=min(50, num_steps // 4),
    )
    model.compile(optimizer(schedule, use_ema=averaged, ema_momentum=0.99))
    start = time.perf_counter()
    model.fit(
        RepeatedBatches(data, batch_size, num_steps),
        epochs=1,
        verbose=0,
        callbacks=list(callbacks),
    )
    return model, time.perf_counter() - start


class RepeatedBatches(keras.utils.PyDataset):
    """A fixed number of batches that repeat the data cyclically."""

    def __init__(self, data, batch_size, num_steps):
        super().__init__()
        self.batches = data.reshape(-1, batch_size, data.shape[-1])
        self.num_steps = num_steps

    def __len__(self):
        return self.num_steps

    def __getitem__(self, step):
        return self.batches[step % len(self.batches)]


def over_floor(
    model,
    toy,
    num_samples=5000,
    repeats=3,
    distance=kd.metrics.sliced_wasserstein,
):
    """A distance to held-out data, divided by its floor."""
    distances = [
        float(
            distance(
                model.generate(num_samples, seed=seed, batch_size=8192),
                toy(num_samples, seed=1000 + seed),
            )
        )
        for seed in range(repeats)
    ]
    return float(np.mean(distances)) / _floor(distance, toy, num_samples)


@functools.cache
def _floor(distance, toy, num_samples):
    data = toy(8 * num_samples, seed=2000)
    return float(kd.metrics.floor(distance, data, n=num_samples))


def scatter(axis, points, title, limit=2.5):
    """Plots points in the plane, without ticks."""
    axis.scatter(*np.asarray(points).T, s=2, linewidths=0, alpha=0.5)
    axis.set(title=title, aspect="equal", xlim=(-limit, limit))
    axis.set(ylim=(-limit, limit), xticks=[], yticks=[])
