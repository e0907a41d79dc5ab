"""A short training run in a folder, for `callbacks/killed_run_test.py`."""

import keras
import numpy as np

import keras_drift as kd

EPOCHS = 100
BATCHES = 8  # in an epoch


def main(folder):
    """Trains, or goes on, and writes the result.

    Args:
        folder: `pathlib.Path` of the run.
    """
    keras.utils.set_random_seed(0)
    samples = np.random.default_rng(0).normal(size=(32 * BATCHES, 2))
    data = kd.datasets.ArrayDataset(
        samples.astype("float32"), batch_size=32, seed=1
    )
    model = kd.DriftModel(kd.generators.MLP(2, hidden_dims=(64, 64)), seed=0)
    optimizer = keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.9)
    model.compile(optimizer)
    checkpoint = kd.callbacks.TrainingCheckpoint(
        folder / "checkpoints", every=2, save_freq=3
    )
    history = model.fit(data, epochs=EPOCHS, callbacks=[checkpoint], verbose=0)
    np.savez(
        folder / "final.npz",
        *model.generator.get_weights(),
        loss=history.history["loss"][-1],
    )
