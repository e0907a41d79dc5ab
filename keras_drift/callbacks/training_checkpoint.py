"""Checkpoints that a training run resumes from bit for bit."""

import keras

from keras_drift import backend
from keras_drift import checks
from keras_drift import user_warnings
from keras_drift.callbacks import callback_states
from keras_drift.callbacks.attach import require_drift_model
from keras_drift.callbacks.checkpoint_folder import CheckpointFolder
from keras_drift.callbacks.checkpoint_folder import described
from keras_drift.callbacks.termination_signal import TerminationSignal
from keras_drift.training import process_shares
from keras_drift.training import rest_of_epoch
from keras_drift.training import state_file
from keras_drift.training import training_state


class TrainingCheckpoint(keras.callbacks.Callback):
    """Saves the whole state of a run, and restores it.

    A run that was stopped continues as if nothing had happened: weights,
    optimizer, averages, bandwidths, metrics, random generators and the position
    in the data are those that were last saved. Choose it for training; use
    `save_to_preset` for a model that is to be shared, which needs none of this.

    Start the same script again, and `fit` resumes automatically:

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

    On SIGTERM, which clusters send before they reclaim a machine, `fit`
    completes the epoch, validation included, saves it, and the process ends.
    With `save_freq=20` it saves, completes the batch and ends the epoch there,
    with validation and what other callbacks do at its end; one of several
    processes does so after at most 20 batches. A second SIGTERM ends the
    process at once. Ctrl-C ends `fit` at once, without what came after the last
    checkpoint.

    Training waits for a copy of the state in host memory; a thread writes the
    file while training goes on. The next checkpoint and the end of `fit` wait
    for it, and raise an `OSError` if it could not be written, for example on a
    full disk: the checkpoints before stay.

    Other callbacks are restored as well: `EarlyStopping`, `ReduceLROnPlateau`
    and `ModelCheckpoint` with their best value and their counters, and those of
    your own that have the methods `get_state()`, which returns plain
    values and arrays, and `set_state(state)`, called after `on_train_begin`. A
    run that `EarlyStopping` has stopped does not train further when it is
    started again, and `fit` gives the same weights as before; it resumes with a
    larger `patience`, without that callback, or with an `initial_epoch`. A run
    stopped by another callback, such as one that stops it after some hours,
    resumes.

    A checkpoint is complete or does not exist. If the newest one is damaged,
    the one before it is restored, with a warning.

    Where weights are sharded over several processes of JAX, as by
    `ModelParallel` and `distribution.layout_map`, or each of them has banks of
    its own, a checkpoint is a folder that Orbax writes: each process its
    shards, its position in the data, and its callbacks. It needs `pip install
    "keras-drift[sharded]"`, and a directory that all hosts share. Both kinds
    can be resumed with any number of processes and devices. With another number
    of processes, a data set with a seed resumes at the epoch, and others start
    over. TensorFlow and PyTorch read a folder after `merge`.

    Args:
        directory: path of a folder, created if needed. The files are
            `epoch_000001.npz`, `epoch_000002.npz`, ... after 1 and 2 epochs,
            and `epoch_000002_batch_000020.npz` after 20 batches more; or
            folders without the `.npz`.
        every: int >= 1, epochs between checkpoints; the last epoch always has
            one. Defaults to `1`.
        keep: int >= 1, how many of the newest ones are kept. Defaults to `2`.
        save_freq: `"epoch"`, or an int >= 1, the batches after which there is
            another checkpoint, in the middle of epochs as well. This needs data
            that are read by their index: arrays, `datasets.ArrayDataset`,
            `datasets.GroupedDataset`. Others, such as `BankedDataset`,
            `tf.data` and generators, have been read ahead of training by an
            unknown number of batches, and are refused: give them short epochs.
            Defaults to `"epoch"`.

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

    def __init__(self, directory, every=1, keep=2, save_freq="epoch"):
        super().__init__()
        self.every = checks.positive_integer("every", every)
        self.keep = checks.positive_integer("keep", keep)
        self.save_freq = save_freq
        if save_freq != "epoch":
            checks.positive_integer(
                "save_freq", save_freq, 'is "epoch" or a number of batches'
            )
        self._folder = CheckpointFolder(directory, keep)
        # Positions, see `CheckpointFolder`.
        self._reached = self._saved = self._restored = self._resumed = None
        self._callback_states = None
        # Whether a callback had ended the restored run, and ends this one.
        self._had_ended = self._ends = False
        self._signal = TerminationSignal()

    @property
    def directory(self):
        """The path of the folder."""
        return self._folder.directory

    def set_model(self, model):
        require_drift_model(self, model)
        super().set_model(model)
        self._reached = self._saved = None

    def resume(self, model):
        """Restores the run for a `fit` that is given no `initial_epoch`.

        Returns:
            int, the number of trained epochs, from which `fit` goes on.
        """
        epoch = self.restore(model)
        self._resumed = self._restored
        return epoch

    def is_ended(self, callbacks):
        """Whether `EarlyStopping` ends the run that `resume` has restored.

        Args:
            callbacks: list of the callbacks of the `fit` that goes on.
        """
        self._ends = self._had_ended and callback_states.stop_early(
            [c for c in callbacks if c is not self], self._callback_states
        )
        return self._ends

    def restore(self, model):
        """Restores the newest checkpoint of the folder, if there is one.

        Args:
            model: the `DriftModel`, compiled, with the same arguments as the
                one that was saved.

        Returns:
            int, the number of complete epochs, 0 without a checkpoint: the
            `initial_epoch` of `fit`, which goes on within this epoch if the
            checkpoint is one of its middle.
        """
        require_drift_model(self, model)
        if not model.compiled:
            raise ValueError(
                "`compile` the model before its training is restored. "
                "Received: a model that was not compiled"
            )
        self._restored = self._callback_states = None
        self._had_ended = self._ends = False
        self._require_agreement()
        found = self._folder.newest(model)
        if found is None:
            return 0
        position, state = found
        model.restore_training_state(state)
        self._restored = position
        self._callback_states = state.get("callbacks")
        self._had_ended = state.get("is_ended", False)
        return position[0]

    def merge(self):
        """Replaces the newest checkpoint by a file, if its weights are sharded.

        On JAX, in one process, in whose memory the weights, the optimizer and
        the averages fit. The other backends read the file, too. If the newest
        checkpoint is damaged, the one before it is taken, with a warning, and
        the damaged one is deleted.

        Returns:
            The path of the file.

        Raises:
            ValueError: if there is no checkpoint, or all are damaged.
        """
        if backend.num_processes() > 1:
            raise ValueError(
                "Call `merge` in one process, after the run. Received: "
                f"{backend.num_processes()} processes"
            )
        file = self._folder.merge()
        if file is None:
            raise ValueError(
                "There is no checkpoint in this folder. Received: "
                f"directory={str(self.directory)!r}"
            )
        return file

    def on_train_begin(self, logs=None):
        if self._resumed and self.params.get("verbose"):
            where = described(self._resumed)
            ending = ": `EarlyStopping` has ended this run" * self._ends
            print(f"Resuming after {where} of {self.directory}{ending}.")
        self._resumed = None
        if self._callback_states is not None:
            # `fit` calls this callback last: others have begun anew.
            callback_states.restore(self._others(), self._callback_states)
            self._callback_states = None
        if self.save_freq != "epoch":
            self._check_data()
        each_writes = self._each_writes()
        if each_writes:
            backend.sharded_checkpoints()  # says so if Orbax is missing
        if each_writes or backend.process_index() == 0:
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
            user_warnings.warn(str(error))
        finally:
            self._signal.pass_on()

    def on_epoch_begin(self, epoch, logs=None):
        restored = self._restored and self._restored[0]
        if self._reached is None and epoch != restored:
            self._refuse_to_replace(epoch)
        self._epoch = epoch

    # Not `on_train_batch_end`: where a callback has one, Keras reads the loss
    # of every step, which waits for the device.
    def on_train_batch_begin(self, batch, logs=None):
        if self.save_freq == "epoch":
            return
        self._reached = (self._epoch, batch)
        if self._saved is None:
            self._saved = self._reached
        is_due = self._batches_since_saved() >= self.save_freq
        if (is_due or backend.num_processes() == 1) and self._is_signaled():
            if self._saved != self._reached:
                self._save()  # validation may take longer than is left
            # After this batch; after the last one Keras has to end the epoch.
            ends_here = self._reached_with(self._epoch)[1] == 0
            self.model.stop_training = not ends_here
        elif is_due:
            self._save()

    def on_epoch_end(self, epoch, logs=None):
        self._reached = self._reached_with(epoch)
        self._restored = None  # its files are older from here on
        signaled = self._is_signaled()
        if signaled:
            # Passed on once the file is complete: what fails is to be seen.
            self._signal.received = False
        # In an epoch that was cut short, the signal has stopped the training.
        is_ended = self.model.stop_training and not (
            signaled and self._reached[1]
        )
        stops = signaled or self.model.stop_training
        last = self._reached[0] == self.params.get("epochs")
        # The weights here are those of training; `on_train_end` comes after
        # Keras has replaced them by their averages.
        if stops or last or self._reached[0] % self.every == 0:
            self._save(is_ended)
        if signaled:
            self._folder.wait()
            self._signal.received = True
            self.model.stop_training = True
            print(f"Stopped by a signal after {described(self._reached)}.")

    def _is_signaled(self):
        # A signal to one process ends all of them, or they would wait for it.
        return any(backend.of_all_processes(int(self._signal.received)))

    def _batches_since_saved(self):
        (epoch, batch), (saved_epoch, saved_batch) = self._reached, self._saved
        return (
            (epoch - saved_epoch) * self.params["steps"] + batch - saved_batch
        )

    def _reached_with(self, epoch):
        """The position after an epoch, which may have been cut short."""
        if self.save_freq != "epoch":
            batch = self._reached[1] + self.model.steps_per_execution
            if batch < self.params["steps"]:
                return (epoch, batch)
        return (epoch + 1, 0)

    def _check_data(self):
        """Refuses data of which the position in an epoch is not known."""
        data, steps = self.model.run.data, self.params.get("steps")
        if not rest_of_epoch.can_go_on(data, steps):
            raise ValueError(
                "`save_freq` saves in the middle of an epoch, from which only "
                "data that are read by their index can go on: arrays, "
                "`datasets.ArrayDataset` or `datasets.GroupedDataset`. Use "
                '`save_freq="epoch"` for others, with short epochs, as by the '
                "`steps_per_epoch` of a `BankedDataset`. Received: "
                f"save_freq={self.save_freq}, data of type "
                f"{type(data).__name__}, {steps} steps in an epoch"
            )

    def _require_agreement(self):
        """Refuses a folder in which each process finds something else."""
        # Before sharded ones are read, by all processes together.
        epoch, batch = max(self._folder.complete(), default=(-1, -1))
        epochs = backend.of_all_processes(epoch)
        if len({*epochs}) > 1 or len({*backend.of_all_processes(batch)}) > 1:
            raise ValueError(
                "The processes of a run go on from one checkpoint, and find "
                "different ones: choose a folder that all hosts share. "
                f"Received: directory={str(self.directory)!r}, in which the "
                f"newest checkpoints are after epochs {epochs} (-1: none)"
            )

    def _refuse_to_replace(self, epoch):
        """A run that was not restored must not delete what another left."""
        newer = [p for p in self._folder.complete() if p > (epoch, 0)]
        if newer:
            raise ValueError(
                "The folder holds checkpoints of a run that is further. Leave "
                "`initial_epoch` out to go on with it, or choose another "
                "folder. Received: directory="
                f"{str(self.directory)!r}, with {described(max(newer))}, while "
                f"`fit` begins at epoch {epoch + 1}"
            )

    def _others(self):
        """The other callbacks of this `fit`."""
        return [c for c in self.model.run.callbacks if c is not self]

    def _save(self, is_ended=False):
        self._folder.wait()  # two copies of the state would need more memory
        state = {
            "callbacks": callback_states.get(self._others()),
            "is_ended": is_ended,
        }
        if self._reached[1]:
            position = rest_of_epoch.position_of(self.model, *self._reached)
            state = {**state, "position": position}
        self._saved, self._restored = self._reached, None
        if self._each_writes():
            variables = training_state.variables(self.model)
            state = {**state, **training_state.get_other(self.model)}
            self._check_states(state)
            self._folder.write_sharded(self._reached, variables, state)
            return
        state = {**self.model.training_state(), **state}
        self._check_states(state)
        if backend.process_index() == 0:
            # The state is that of the first process.
            self._folder.write(self._reached, state)

    def _check_states(self, state):
        """Refuses states of users' objects that no file can hold."""
        # Here, since the thread that writes would fail an epoch later.
        for each in state["callbacks"]:
            state_file.check(each["state"], f"`{each['class_name']}`")
        data = type(self.model.run.data).__name__
        state_file.check(state["data"], f"the data set `{data}`")

    def _each_writes(self):
        """Whether no process holds the whole state: each writes its part."""
        if process_shares.has_own_state(self.model.run.data):
            return True
        backend.sync(self.model)
        # Optimizers lay out their variables like those of the model.
        return backend.first_sharded(self.model.variables) is not None
