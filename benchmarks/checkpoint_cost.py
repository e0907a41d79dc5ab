"""What `callbacks.TrainingCheckpoint` adds to a training run.

    KERAS_BACKEND=jax python benchmarks/checkpoint_cost.py

In one `fit`, every second block of 20 steps begins with a checkpoint, which a
thread writes during the block. The ratio of the blocks with and without is the
cost of a checkpoint every 20 steps, alternated, because machines are noisy.
Every ratio is that of a block to the mean of the two beside it. The ratio of
processor time, of all threads, is the cost where no core is idle; what other
programs do on the machine hardly changes it.
"""

import argparse
import pathlib
import tempfile
import time

import keras
import numpy as np

import keras_drift as kd
from keras_drift.callbacks.checkpoint_folder import CheckpointFolder

BLOCK = 20  # steps


class Clock(keras.callbacks.Callback):
    """Notes the time before every block of steps.

    Keras reads the loss of every step for it, so that the time is that of steps
    that have ended.
    """

    def __init__(self):
        super().__init__()
        self.times = []

    def on_train_batch_begin(self, batch, logs=None):
        if batch % BLOCK == 0:
            self.times.append((time.perf_counter(), time.process_time()))

    def on_train_batch_end(self, batch, logs=None):
        pass


class OneOfTwo(kd.callbacks.TrainingCheckpoint):
    """Saves before every second block, and keeps the seconds that it took."""

    def __init__(self, folder):
        super().__init__(folder, save_freq=2 * BLOCK, keep=1)
        self.seconds = []

    def on_train_batch_begin(self, batch, logs=None):
        start = time.perf_counter()
        super().on_train_batch_begin(batch, logs)
        if batch and batch % (2 * BLOCK) == 0:
            self.seconds.append(time.perf_counter() - start)


def new_model(args):
    size = args.image_size
    generator = kd.generators.DiT(
        image_shape=(size, size, 3),
        patch_size=4,
        hidden_dim=args.hidden_dim,
        depth=args.depth,
        num_classes=10,
    )
    model = kd.DriftModel(generator, seed=0)
    model.compile(keras.optimizers.AdamW(1e-4, use_ema=True))
    return model


def data(args):
    """Random images: as many batches as the blocks need, of one array."""
    rng = np.random.default_rng(0)
    shape = (1024, args.image_size, args.image_size, 3)
    images = rng.uniform(-1, 1, size=shape).astype("float32")
    return images, np.arange(len(images)) % 10


def write_seconds(folder, state):
    """The seconds that a file takes, with nothing beside it, and its size."""
    start = time.perf_counter()
    files = CheckpointFolder(folder, keep=1)
    files.write((1, 0), state)
    files.wait()
    seconds = time.perf_counter() - start
    (path,) = pathlib.Path(folder).iterdir()
    return seconds, path.stat().st_size / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=12, help="of blocks")
    parser.add_argument("--image-size", type=int, default=16)
    parser.add_argument("--hidden-dim", type=int, default=384)
    parser.add_argument("--depth", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=8)
    args = parser.parse_args()
    model, clock = new_model(args), Clock()
    images, labels = data(args)
    num_steps = BLOCK * (2 * args.pairs + 2)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = OneOfTwo(folder)
        model.fit(
            images,
            labels,
            batch_size=args.batch_size,
            steps_per_epoch=num_steps,
            callbacks=[clock, checkpoint],
            verbose=0,
        )
    # The first blocks compile. From there on: without, with, without, ...
    blocks = np.diff(clock.times, axis=0)[1:]
    without, saved = blocks[0::2], blocks[1::2]
    ratios = saved[:-1] / ((without[:-1] + without[1:]) / 2)
    with tempfile.TemporaryDirectory() as folder:
        written, size = write_seconds(folder, model.training_state())
    step, processor = np.median(without, axis=0) / BLOCK
    print(f"backend                  {keras.backend.backend()}")
    print(f"step                     {step:8.3f} s")
    print(f"processor time of a step {processor:8.3f} s")
    print(f"checkpoint               {size:8.1f} MB")
    print(f"writing it alone         {written:8.3f} s")
    print(f"training waits           {np.median(checkpoint.seconds):8.3f} s")
    for name, values in zip(("time", "processor time"), ratios.T, strict=True):
        low, ratio, high = np.percentile(values, [25, 50, 75])
        print(
            f"{name + ', with / without':30s} {ratio:.3f}   (quartiles "
            f"{low:.3f} to {high:.3f}, {len(values)} blocks of {BLOCK} steps)"
        )


if __name__ == "__main__":
    main()
