"""A `fit` that goes on in the middle of an epoch."""

import keras

from keras_drift import backend
from keras_drift.datasets.seeded_dataset import SeededDataset


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
        _check(position, data, kwargs["model"].steps_per_execution)
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
        "metrics": metrics,
    }


def can_go_on(data, num_steps):
    """Whether training can go on in the middle of an epoch of a data source.

    Args:
        data: the data source of `fit`.
        num_steps: int, the steps of an epoch of `fit`, or `None`.
    """
    return isinstance(data, SeededDataset) and len(data) == num_steps


def _check(position, data, steps_per_execution):
    """Refuses data whose batches cannot be those of the position."""
    batch = position["batch"]
    fits = isinstance(data, SeededDataset) and batch < len(data)
    if not fits or batch % steps_per_execution:
        size = len(data) if hasattr(data, "__len__") else "unknown"
        raise ValueError(
            "The checkpoint is one of the middle of an epoch: give `fit` the "
            "same data, and `compile` the same `steps_per_execution`, as in "
            f"the run that was stopped. Received: {batch} trained batches, "
            f"data of type {type(data).__name__} with {size} batches, "
            f"steps_per_execution={steps_per_execution}"
        )
