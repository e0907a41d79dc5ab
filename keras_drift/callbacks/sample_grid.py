"""Image grids of generated samples during training."""

import os
import pathlib

import keras

from keras_drift import backend
from keras_drift import checks
from keras_drift import images
from keras_drift.callbacks.attach import require_drift_model


class SampleGrid(keras.callbacks.Callback):
    """Writes a grid of generated samples to a PNG file after every few epochs.

    All grids use the same noise, so that samples can be compared across epochs.
    Latents are decoded by the autoencoder of the model. With `use_ema=True`
    samples are generated with the averaged weights. If a
    `keras.callbacks.TensorBoard` is used too, the grids also appear there under
    "Images".

    Needs Pillow: `pip install "keras-drift[examples]"`.

    Args:
        directory: path of a folder, created if needed. The images are
            `epoch_0001.png`, `epoch_0002.png`, ...
        rows: int >= 1. With classes, each column shows one. Defaults to `8`.
        columns: int >= 1. Defaults to `None`: one for each class, at most 16,
            or as many as there are rows.
        guidance: float, the strength of the condition. Defaults to `1.0`.
        every: int >= 1, epochs between grids; the last epoch always has one.
            Defaults to `1`.
        scale: int >= 1, magnification of each image. Defaults to `None`: such
            that an image is about 64 pixels wide.
        seed: int, the seed of the noise. Defaults to `0`.

    Example:

    ```python
    model.fit(batches, epochs=20, callbacks=[kd.callbacks.SampleGrid("grids")])
    ```
    """

    def __init__(
        self,
        directory,
        rows=8,
        columns=None,
        guidance=1.0,
        every=1,
        scale=None,
        seed=0,
    ):
        super().__init__()
        self.directory = pathlib.Path(directory)
        self.rows = checks.positive_integer("rows", rows)
        if columns is not None:
            checks.positive_integer("columns", columns)
        self.columns = columns
        self.guidance = guidance
        self.every = checks.positive_integer("every", every)
        if scale is not None:
            checks.positive_integer("scale", scale)
        self.scale = scale
        self.seed = seed

    def set_model(self, model):
        require_drift_model(self, model)
        images.check_shown(model)
        super().set_model(model)
        self._epoch = self._written = None

    def on_epoch_end(self, epoch, logs=None):
        self._epoch = epoch + 1
        if self._epoch % self.every == 0:
            self._write(self._epoch)

    def on_train_end(self, logs=None):
        if self._epoch is not None and self._epoch != self._written:
            self._write(self._epoch)

    def _write(self, epoch):
        if backend.replica_index() > 0:
            return  # the first process writes
        with self.model.averaged_weights():
            picture = images.sample_grid(
                self.model,
                self.rows,
                self.columns,
                self.guidance,
                self.seed,
                self.scale,
            )
        if backend.process_index() > 0:
            return  # on JAX, all of them generate together
        self.directory.mkdir(parents=True, exist_ok=True)
        images.write_png(self.directory / f"epoch_{epoch:04d}.png", picture)
        self._show_in_tensorboard(picture, epoch)
        self._written = epoch

    def _show_in_tensorboard(self, picture, epoch):
        for callback in self.model.run.callbacks:
            if isinstance(callback, keras.callbacks.TensorBoard):
                folder = os.path.join(callback.log_dir, "samples")
                writer = callback.summary.create_file_writer(folder)
                with writer.as_default():
                    callback.summary.image("samples", picture[None], step=epoch)
                writer.close()
