"""Checkpoints that a training run resumes from bit for bit."""

import warnings

import keras

from keras_drift import backend
from keras_drift import checks
from keras_drift.callbacks.attach import require_drift_model
from keras_drift.callbacks.checkpoint_folder import CheckpointFolder
from keras_drift.callbacks.termination_signal import TerminationSignal


class TrainingCheckpoint(keras.callbacks.Callback):
    """Saves the whole state of a run at the end of epochs, and restores it.

    A run that was stopped continues as if nothing had happened: weights,
    optimizer, averages, bandwidths, random generators and the position in the
    data are those of the end of the last epoch that was saved. Choose it for
    training; use `save_to_preset` for a model that is to be shared, which
    needs none of this.

    Start the same script again, and `fit` goes on by itself:

    ```python
    model.compile(...)
    model.fit(
        batches,
        epochs=100,
        callbacks=[kd.callbacks.TrainingCheckpoint("run/checkpoints")],
    )
    ```

    `epochs` is the number of all epochs, those of earlier runs included, also
    in one process: `fit` always begins with the newest checkpoint. With an
    `initial_epoch` it does not; call `restore` before it.

    On SIGTERM, as clusters send it before they take a machine, `fit` completes
    the epoch, saves it, and the process ends; a second one ends it at once.
    Ctrl-C ends `fit` at once, without the epoch it interrupts: epochs should
    not be longer than what you can afford to lose.

    Training waits for a copy of the state in host memory; a thread writes the
    file while training goes on. The next checkpoint and the end of `fit` wait
    for it, and raise an `OSError` if it could not be written, for example on a
    full disk: the checkpoints before stay.

    A file is complete or does not exist. If the newest one is damaged, the one
    before it is restored, with a warning.

    Args:
        directory: path of a folder, created if needed. The files are
            `epoch_000001.npz`, `epoch_000002.npz`, ...
        every: int >= 1, epochs between checkpoints; the last epoch always has
            one. Defaults to `1`.
        keep: int >= 1, how many of the newest files are kept. Defaults to `2`.

    Example:

    >>> import tempfile
    >>> import keras_drift as kd
    >>> data = kd.datasets.ArrayDataset(np.ones((64, 2)), batch_size=32)
    >>> folder = tempfile.mkdtemp()
    >>> for epochs in (1, 3):  # stopped after one epoch, then started again
    ...     checkpoint = kd.callbacks.TrainingCheckpoint(folder)
    ...     model = kd.DriftModel(kd.generators.MLP(output_dim=2), seed=0)
    ...     model.compile("adam")
    ...     history = model.fit(
    ...         data, epochs=epochs, callbacks=[checkpoint], verbose=0
    ...     )
    ...     history.epoch
    [0]
    [1, 2]
    """

    def __init__(self, directory, every=1, keep=2):
        super().__init__()
        self.every = checks.positive_integer("every", every)
        self.keep = checks.positive_integer("keep", keep)
        self._folder = CheckpointFolder(directory, keep)
        self._epoch = self._restored = self._resumed = None
        self._signal = TerminationSignal()

    @property
    def directory(self):
        """The path of the folder."""
        return self._folder.directory

    def set_model(self, model):
        require_drift_model(self, model)
        super().set_model(model)
        self._epoch = None

    def resume(self, model):
        """Restores the run for a `fit` that is given no `initial_epoch`.

        Returns:
            int, the number of trained epochs, from which `fit` goes on.
        """
        self._resumed = self.restore(model)
        return self._resumed

    def restore(self, model):
        """Restores the newest checkpoint of the folder, if there is one.

        Args:
            model: the `DriftModel`, compiled, with the same arguments as the
                one that was saved.

        Returns:
            int, the number of trained epochs, 0 without a checkpoint: the
            `initial_epoch` of `fit`.
        """
        require_drift_model(self, model)
        if not model.compiled:
            raise ValueError(
                "`compile` the model before its training is restored. "
                "Received: a model that was not compiled"
            )
        found = self._folder.newest()
        if found is None:
            return 0
        self._restored, state = found
        model.restore_training_state(state)
        return self._restored

    def on_train_begin(self, logs=None):
        if self._resumed and self.params.get("verbose"):
            print(f"Resuming after epoch {self._resumed} of {self.directory}.")
        self._resumed = None
        if backend.process_index() == 0:
            self._folder.require_writable()
        self._signal.wait_for()

    def on_train_end(self, logs=None):
        self._folder.wait()

    def on_fit_end(self):
        """Called by `fit` at its very end, also after an exception."""
        try:
            self._folder.wait()
        except Exception as error:
            # Beside the exception that ended `fit` before `on_train_end`.
            warnings.warn(str(error), stacklevel=2)
        self._signal.pass_on()

    def on_epoch_begin(self, epoch, logs=None):
        if self._epoch is None and epoch != self._restored:
            self._refuse_to_replace(epoch)

    def on_epoch_end(self, epoch, logs=None):
        self._epoch = epoch + 1
        self._restored = None  # its files are older from here on
        # A signal to one process ends all of them, or they would wait for it.
        signaled = any(backend.of_all_processes(int(self._signal.received)))
        if signaled:
            # Passed on once the file is complete: what fails is to be seen.
            self._signal.received = False
        stops = signaled or self.model.stop_training
        last = self._epoch == self.params.get("epochs")
        # The weights here are those of training; `on_train_end` comes after
        # Keras has replaced them by their averages.
        if stops or last or self._epoch % self.every == 0:
            self._save()
        if signaled:
            self._folder.wait()
            self._signal.received = True
            self.model.stop_training = True
            print(f"Stopped by a signal after epoch {self._epoch}, saved.")

    def _refuse_to_replace(self, epoch):
        """A run that was not restored must not delete what another left."""
        newer = [e for e in self._folder.files() if e > epoch]
        if newer:
            raise ValueError(
                "The folder holds checkpoints of a run that is further. Leave "
                "`initial_epoch` out to go on with it, or choose another "
                "folder. Received: directory="
                f"{str(self.directory)!r}, with epoch {max(newer)}, while "
                f"`fit` begins at epoch {epoch + 1}"
            )

    def _save(self):
        self._folder.wait()  # two copies of the state would need more memory
        state = self.model.training_state()
        if backend.process_index() > 0:
            return  # the state is that of the first process, which writes it
        self._folder.write(self._epoch, state)
