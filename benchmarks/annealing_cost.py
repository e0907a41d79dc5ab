"""The time that a bandwidth schedule adds to a training step.

    KERAS_BACKEND=jax python benchmarks/annealing_cost.py

Two models alike, one of them annealed, are trained alternately in short runs of
`fit`; each pair of runs gives a ratio, whose median is reported.
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
    plain, annealed = make_model(), make_model()
    runs = (
        (plain, []),
        (annealed, [kd.callbacks.BandwidthAnnealing(schedule)]),
    )
    for model, callbacks in runs:
        seconds_of_fit(model, data, callbacks)  # compiles
    times = np.array(
        [
            [
                seconds_of_fit(model, data, callbacks)
                for model, callbacks in runs
            ]
            for _ in range(args.repeats)
        ]
    )
    milliseconds = 1e3 * np.median(times, axis=0) / args.steps
    ratio = np.median(times[:, 1] / times[:, 0])
    print(f"backend        {keras.backend.backend()}")
    print(f"plain step     {milliseconds[0]:8.2f} ms")
    print(f"annealed step  {milliseconds[1]:8.2f} ms")
    print(f"added          {ratio - 1:+8.2%}")


if __name__ == "__main__":
    main()
