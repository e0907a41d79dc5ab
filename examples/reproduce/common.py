"""What the reproductions share: arguments, training a toy, writing results."""

import argparse
import json
import pathlib
import time

import keras
import matplotlib.pyplot as plt
import numpy as np

import keras_drift as kd

OUTPUT = pathlib.Path("outputs/reproduce")


def parser(description, **sizes):
    """Arguments of a script; `sizes` are the ints that say how long it runs."""
    found = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for name, value in sizes.items():
        found.add_argument(
            f"--{name.replace('_', '-')}", type=int, default=value, help="."
        )
    found.add_argument("--seed", type=int, default=0, help="of everything")
    found.add_argument("--output", type=pathlib.Path, default=OUTPUT)
    return found


def write(args, name, figure, numbers):
    """Writes `name.png` and `name.json`, and says where they are."""
    args.output.mkdir(parents=True, exist_ok=True)
    picture = args.output / f"{name}.png"
    figure.savefig(picture, dpi=120)
    plt.close(figure)
    numbers = {"backend": keras.backend.backend(), **numbers}
    path = args.output / f"{name}.json"
    path.write_text(json.dumps(numbers, indent=2))
    print(f"picture: {picture}\nnumbers: {path}")


def train(
    drift,
    data,
    epochs,
    batch_size=512,
    learning_rate=5e-3,
    final_rate=0.02,
    seed=0,
    callbacks=(),
    averaged=False,
    **kwargs,
):
    """Trains a small network for the plane; returns `(model, history)`.

    The learning rate falls along a cosine, to `final_rate` of its highest.
    `history` maps names to arrays with a number for every epoch, and
    `"seconds"` to all of the time.
    """
    keras.utils.set_random_seed(seed)
    model = kd.DriftModel(
        kd.generators.MLP(output_dim=2, noise_dim=4),
        drift,
        seed=seed,
        **kwargs,
    )
    num_steps = epochs * (len(data) // batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=num_steps,
        alpha=final_rate,
        warmup_target=learning_rate,
        warmup_steps=min(50, num_steps // 4),
    )
    model.compile(
        keras.optimizers.Adam(schedule, use_ema=averaged, ema_momentum=0.99)
    )
    start = time.perf_counter()
    history = model.fit(
        data,
        batch_size=batch_size,
        epochs=epochs,
        verbose=0,
        callbacks=list(callbacks),
    ).history
    history = {name: np.array(values) for name, values in history.items()}
    history["seconds"] = time.perf_counter() - start
    return model, history


def over_floor(model, toy, num_samples=5000, draws=3):
    """Sliced Wasserstein distance to fresh data, over that of data to data."""
    distances = [
        float(
            kd.metrics.sliced_wasserstein(
                model.generate(num_samples, seed=seed, batch_size=8192),
                toy(num_samples, seed=1000 + seed),
            )
        )
        for seed in range(draws)
    ]
    floor = kd.metrics.floor(
        kd.metrics.sliced_wasserstein,
        toy(8 * num_samples, seed=2000),
        n=num_samples,
    )
    return float(np.mean(distances)) / float(floor)


def scatter(axis, points, title, limit=2.5):
    """Points in the plane, without ticks."""
    axis.scatter(*np.asarray(points).T, s=2, linewidths=0, alpha=0.5)
    axis.set(title=title, aspect="equal", xlim=(-limit, limit))
    axis.set(ylim=(-limit, limit), xticks=[], yticks=[])
