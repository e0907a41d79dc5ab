"""How long a training step waits for the batches of a `BankedDataset`.

    KERAS_BACKEND=jax python benchmarks/input_wait.py --step 50

The step sleeps, like a host whose accelerator works. Batches are those of the
image recipe: 64 groups of 64 latents and 16 unconditional ones, 64 new samples
for each batch.
"""

import argparse
import time

import numpy as np

import keras_drift as kd


def stream(shape, num_classes, milliseconds):
    """Batches of 64 random samples, each after some time."""
    rng = np.random.default_rng(0)
    samples = rng.standard_normal((1024, *shape), "float32")
    while True:
        time.sleep(milliseconds / 1000)
        chosen = rng.integers(len(samples), size=64)
        yield samples[chosen], rng.integers(num_classes, size=64)


def measure(batches, milliseconds):
    """Seconds waited for each step, and the seconds of a draw."""
    with batches._ahead.lock:
        start = time.perf_counter()
        batches._advance()
        draw = time.perf_counter() - start
    waits = []
    for index in range(len(batches)):
        before = batches.seconds_waited
        batch = batches[index]
        waits.append(batches.seconds_waited - before)
        time.sleep(milliseconds / 1000)
        del batch
    return np.array(waits[5:]), draw


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--step", type=float, default=50, help="milliseconds")
    parser.add_argument("--read", type=float, default=10, help="milliseconds")
    parser.add_argument("--steps", type=int, default=105)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--shape", type=int, nargs="+", default=[32, 32, 4])
    args = parser.parse_args()
    shape = tuple(args.shape)
    batches = kd.datasets.BankedDataset(
        stream(shape, args.classes, args.read),
        shape,
        args.classes,
        groups_per_batch=64,
        unconditional=16,
        warm_up=8,
        steps_per_epoch=args.steps,
    )
    batches[0]
    waits, draw = measure(batches, args.step)
    print(f"reading one portion     {args.read:8.2f} ms")
    print(f"reading and drawing     {1000 * draw:8.2f} ms")
    print(f"step                    {args.step:8.2f} ms")
    print(f"waited, mean            {1000 * waits.mean():8.2f} ms")
    print(f"waited, largest         {1000 * waits.max():8.2f} ms")
    print(f"share of a step         {1000 * waits.mean() / args.step:8.2%}")


if __name__ == "__main__":
    main()
