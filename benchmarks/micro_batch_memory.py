"""Memory of a training step in micro-batches, beside one in one piece.

    KERAS_BACKEND=jax python benchmarks/micro_batch_memory.py

A `DiT` and a masked autoencoder's encoder, 1,024 samples, under `fit`. Every
measurement is a process of its own: the most memory of two steps above what it
used after two steps of 8 samples, compilation included.
"""

import argparse
import json

import keras
import measuring
import numpy as np

import keras_drift as kd

IMAGE = (16, 16, 4)


def new_model(micro_batches):
    generator = kd.generators.DiT(
        IMAGE, patch_size=2, hidden_dim=64, depth=6, num_heads=2
    )
    encoder = kd.encoders.MAEResNet(
        IMAGE[-1], base_channels=16, num_blocks=(2, 2, 2, 2)
    )
    model = kd.DriftModel(
        generator, encoder=encoder, micro_batches=micro_batches, seed=0
    )
    model.compile(keras.optimizers.AdamW(1e-4))
    return model


def measure(samples, micro_batches):
    """MB of two steps, and their loss."""
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (2 * samples, *IMAGE)).astype("float32")
    new_model(1).fit(images[:16], batch_size=8, verbose=0)
    memory = measuring.PeakMemory()
    keras.utils.set_random_seed(0)
    model = new_model(micro_batches)
    history = model.fit(images, batch_size=samples, shuffle=False, verbose=0)
    return memory.megabytes(), history.history["loss"][0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument(
        "--parts", type=int, help="measure these alone, in this process"
    )
    args = parser.parse_args()
    if args.parts is not None:
        print(json.dumps(measure(args.samples, args.parts)))
        return
    print(f"{keras.backend.backend()}, {args.samples} samples")
    whole = None
    for parts in (1, 4, 8):
        memory, loss = measuring.in_a_fresh_process(
            "micro_batch_memory.py", "--samples", args.samples, "--parts", parts
        )
        whole = whole or memory
        share = memory / whole
        print(f"{parts} parts: {memory:6.0f} MB, {share:.3f}; loss {loss:.7f}")


if __name__ == "__main__":
    main()
