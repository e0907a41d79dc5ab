"""A `fit` that goes on in the middle of an epoch."""

import keras
import numpy as np

from keras_drift import backend
from keras_drift import user_warnings
from keras_drift.datasets.arrays.seeded_dataset import SeededDataset
from keras_drift.training import data_sources


class RestOfEpoch(keras.callbacks.CallbackList):
    """The callbacks of a `fit` that goes on in the middle of an epoch.

    Keras begins every epoch with its first batch. In the first epoch of this
    `fit`, the batches that an earlier run has trained on pass without a step,
    and no callback is told of them; the metrics go on from their values.

    Args:
        callbacks: list of callbacks.
        position: dict, see `position_of`.
        data: `SeededDataset`, the data source of `fit`.
        **kwargs: passed to `keras.callbacks.CallbackList`.
    """

    def __init__(self, callbacks, position, data, **kwargs):
        _check(
            position, data, kwargs["steps"], kwargs["model"].steps_per_execution
        )
        _check_metrics(position, kwargs["model"])
        if kwargs["model"].run.data_is_made_here:
            _warn_of_other_arrays(position, data)
        super().__init__(callbacks, **kwargs)
        self._position = position
        self._data = data
        self._first_batch = self._batch = 0
        self._step = None

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        begins_here = epoch == self._position["epoch"]
        self._first_batch = self._position["batch"] if begins_here else 0
        self._data.first_batch = self._first_batch
        if begins_here:
            self.model.run.position = None
            self._data.epoch = self._position["data_epoch"]
            values = self._position["metrics"]
            variables = self.model.metrics_variables
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
            self._step = self.model.train_function
            self.model.train_function = self._step_or_skip
        elif self._step is not None:
            self.model.train_function, self._step = self._step, None

    def on_train_batch_begin(self, batch, logs=None):
        self._batch = batch
        if batch >= self._first_batch:
            super().on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        if batch >= self._first_batch:
            super().on_train_batch_end(batch, logs)

    def _step_or_skip(self, *args):
        """The step of the model, if the batch is one to train on."""
        if self._batch < self._first_batch:
            return backend.skipped_step(args, self.model.steps_per_execution)
        return self._step(*args)


def position_of(model, epoch, batch):
    """The position of training within an epoch, to be saved.

    Args:
        model: the `DriftModel`, in `fit`.
        epoch: int, the complete epochs.
        batch: int >= 1, the complete batches of the epoch after them.

    Returns:
        A dict of ints and arrays.
    """
    metrics = [backend.host_value(v).copy() for v in model.metrics_variables]
    return {
        "epoch": epoch,
        "batch": batch,
        "data_epoch": model.run.data.epoch,
        "data_size": size_of(model.run.data),
        "checksum": model.run.data.checksum(),
        "metrics": metrics,
        "num_shares": num_shares(),
    }


def num_shares():
    """The processes that have samples of their own: shares of an epoch."""
    return backend.num_processes() if backend.gives_shares() else 1


def usable(position):
    """The saved position, or `None` if it is one in other batches.

    Args:
        position: dict, see `position_of`, or `None`.
    """
    if position is None:
        return None
    saved, found = position.get("num_shares", 1), num_shares()
    if saved == found:
        return position
    user_warnings.warn(
        "The checkpoint is one of the middle of an epoch, whose batches "
        f"{saved} processes made from samples of their own: with {found}, this "
        "epoch starts over"
    )
    return None


def can_go_on(data, num_steps):
    """Whether training can go on in the middle of an epoch of a data source.

    Args:
        data: the data source of `fit`.
        num_steps: int, the steps of an epoch of `fit`, or `None`.
    """
    return isinstance(data, SeededDataset) and len(data) == num_steps


def _check_metrics(position, model):
    """Refuses metrics that cannot go on from the saved values."""
    saved = [np.shape(value) for value in position["metrics"]]
    metrics = [tuple(v.shape) for v in model.metrics_variables]
    if saved != metrics:
        raise ValueError(
            "The checkpoint is one of the middle of an epoch, with values of "
            "its metrics: `compile` the same metrics as in the run that was "
            f"stopped. Received: metrics with variables of shapes {metrics}, "
            f"where {saved} were saved"
        )


def size_of(data):
    """The numbers of batches and samples, which resumed data must have."""
    return [len(data), int(data.num_samples or 0)]


def _check(position, data, num_steps, steps_per_execution):
    """Refuses data whose batches cannot be those of the position."""
    batch = position["batch"]
    fits = can_go_on(data, num_steps)
    if (
        not fits
        or size_of(data) != list(position["data_size"])
        or batch % steps_per_execution
    ):
        size = data_sources.length(data)
        size = "unknown" if size is None else size
        raise ValueError(
            "The checkpoint is one of the middle of an epoch: give `fit` the "
            "same data in the same batches, and `compile` the same "
            "`steps_per_execution`, as in the run that was stopped. Received: "
            f"{batch} trained batches of {position['data_size'][0]}, data of "
            f"type {type(data).__name__} with {size} batches, {num_steps} "
            f"steps in an epoch, steps_per_execution={steps_per_execution}"
        )


def _warn_of_other_arrays(position, data):
    """Warns if the arrays differ from those of the checkpoint."""
    # Only the first process has the data of the one that saved.
    is_first = backend.process_index() == 0
    if is_first and data.checksum() != position["checksum"]:
        user_warnings.warn(
            "These are not the data of the checkpoint: their first batch is "
            "another one, so this run does not repeat the one that was "
            "stopped. Give `fit` the same arrays with the same arguments, "
            "unless you changed them on purpose."
        )
