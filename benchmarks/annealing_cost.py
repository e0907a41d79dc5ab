"""The time that setting the bandwidth adds to a training step.

    KERAS_BACKEND=jax python benchmarks/annealing_cost.py

Models alike, one with a constant bandwidth, one annealed and one with an
adaptive bandwidth, are trained alternately in short runs of `fit`; each round
gives ratios to the first, whose medians are reported.
"""

import argparse
import time

import keras
import numpy as np

import keras_drift as kd


def make_model():
    keras.utils.set_random_seed(0)
    model = kd.DriftModel(
        kd.generators.MLP(output_dim=2),
        kd.drifts.KernelDrift(kd.kernels.Laplacian(0.5)),
        seed=0,
    )
    model.compile(keras.optimizers.Adam(1e-3))
    return model


def seconds_of_fit(model, data, callbacks):
    start = time.perf_counter()
    model.fit(
        data, batch_size=1024, shuffle=False, verbose=0, callbacks=callbacks
    )
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    data = kd.datasets.checkerboard(1024 * args.steps, seed=0)
    schedule = kd.schedules.ExponentialAnnealing(0.5, 0.2, rate=1e-4)
    runs = {
        "constant": (make_model(), []),
        "annealed": (
            make_model(),
            [kd.callbacks.BandwidthAnnealing(schedule)],
        ),
        "adaptive": (
            make_model(),
            [kd.callbacks.AdaptiveBandwidth(0.5, final=0.2)],
        ),
    }
    for model, callbacks in runs.values():
        seconds_of_fit(model, data, callbacks)  # compiles
    times = np.array(
        [
            [
                seconds_of_fit(model, data, callbacks)
                for model, callbacks in runs.values()
            ]
            for _ in range(args.repeats)
        ]
    )
    milliseconds = 1e3 * np.median(times, axis=0) / args.steps
    added = np.median(times / times[:, :1], axis=0) - 1
    print(f"backend   {keras.backend.backend()}")
    for name, step, more in zip(runs, milliseconds, added, strict=True):
        print(f"{name}  {step:8.2f} ms a step  {more:+8.2%}")


if __name__ == "__main__":
    main()
