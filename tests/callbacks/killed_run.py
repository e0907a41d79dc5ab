"""A short training run; `killed_run_test.py` starts it in a folder."""

import pathlib
import sys

import keras
import numpy as np

import keras_drift as kd

EPOCHS = 200


class EpochLog(keras.callbacks.Callback):
    """Adds a line to a file at the end of every epoch."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_epoch_end(self, epoch, logs=None):
        with self.path.open("a") as file:
            file.write(f"{epoch}\n")


def main():
    folder = pathlib.Path(sys.argv[1])
    keras.utils.set_random_seed(0)
    samples = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
    data = kd.datasets.ArrayDataset(samples, batch_size=32, seed=1)
    model = kd.DriftModel(kd.generators.MLP(2, hidden_dims=(64, 64)), seed=0)
    optimizer = keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.9)
    model.compile(optimizer)
    model.fit(
        data,
        epochs=EPOCHS,
        callbacks=[
            kd.callbacks.TrainingCheckpoint(folder / "checkpoints"),
            EpochLog(folder / "epochs.txt"),
        ],
        verbose=0,
    )
    np.savez(folder / "final.npz", *model.generator.get_weights())


if __name__ == "__main__":
    main()
