"""One 256 x 256 image from noise: DiT L/2 and decoder, random weights.

    KERAS_BACKEND=jax python benchmarks/end_to_end.py

Prints the seconds of `generate`, of the generator alone, and the memory. Needs
the extra `imagenet`.
"""

import argparse
import json
import time

import keras
import measuring
import numpy as np

import keras_drift as kd


def seconds(function, repeats):
    """Of the first call, which compiles, and the median of the others."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return times[0], float(np.median(times[1:]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    model = kd.DriftModel(
        kd.generators.DiT.from_preset("dit_l2_latent", load_weights=False),
        autoencoder=kd.autoencoders.StableDiffusion(),
        seed=0,
    )
    labels = np.arange(args.images) % 1000
    options = {"seed": 0, "batch_size": args.batch_size}
    memory = measuring.PeakMemory()
    weights = memory.start
    generator = seconds(
        lambda: model.generate(labels=labels, decode=False, **options),
        args.repeats,
    )
    both = seconds(
        lambda: model.generate(labels=labels, **options), args.repeats
    )
    found = {
        "backend": keras.backend.backend(),
        "device": measuring.device(),
        "images": args.images,
        "seconds": both[1],
        "generator_seconds": generator[1],
        "first_seconds": generator[0] + both[0],
        "megabytes_before": weights,
        "megabytes_above": memory.megabytes(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
