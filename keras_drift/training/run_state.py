"""State of a training run that is not a weight."""

import contextlib
import weakref

from keras_drift import backend
from keras_drift.datasets.arrays.seeded_dataset import SeededDataset
from keras_drift.kept_values import kept
from keras_drift.training import process_shares
from keras_drift.training import randomness
from keras_drift.training import shares
from keras_drift.training.averaged_weights import averaged_weights
from keras_drift.training.averaged_weights import swaps_of
from keras_drift.training.compiled_steps import CompiledSteps
from keras_drift.training.continued_dataset import ContinuedDataset
from keras_drift.training.data_position import DataPosition
from keras_drift.training.rest_of_epoch import RestOfEpoch
from keras_drift.training.schedule_check import ScheduleCheck
from keras_drift.training.trained_weights import swap_back


class RunState:
    """State of a training run that is not a weight.

    Attributes:
        is_training: bool, whether `fit` is running.
        is_equalized: bool, whether all processes were given the variables of
            the first one, since the model was compiled.
        scale_is_checked: bool, whether a batch of `train_on_batch` or
            `test_on_batch` was looked at for images that are not scaled.
        callbacks: tuple, the user's callbacks in the current `fit`.
        schedule: the bandwidth schedule of the current `fit`, or `None`.
        data: the data source of the last `fit`, or `None`.
        data_state: the initial state of the next data source, or `None`.
        data_state_is_own: bool, whether it is that of this process; `None` if
            only the first one has saved its own.
        steps: `CompiledSteps` of the model.
        position: dict, where in an epoch the next `fit` goes on, see
            `rest_of_epoch.position_of`, or `None`: at its beginning.
    """

    def __init__(self):
        self.is_training = False
        self.is_equalized = False
        self.scale_is_checked = False
        self.callbacks = ()
        self.schedule = None
        self.data = None
        self.data_is_made_here = False
        self.data_state = None
        self.data_state_is_own = None
        self.position = None
        self.steps = CompiledSteps()
        self._data_base = (None, None)
        self._continued = None

    def schedule_of(self, model):
        """The current bandwidth schedule: that of `fit`, or of the model."""
        if self.schedule is not None:
            return self.schedule
        return model.bandwidth_schedule

    @contextlib.contextmanager
    def training(self, model, source, callbacks, first_epoch):
        """Context of `fit`; keeps the model usable after an exception.

        Args:
            model: the `DriftModel`.
            source: the `data_sources.Source` it trains on.
            callbacks: list of the user's callbacks.
            first_epoch: int, the `initial_epoch` of `fit`.

        Yields:
            A list of callbacks to insert before those of the user.
        """
        position = DataPosition(source, self._base(source, first_epoch))
        self.data = source.x
        self.data_is_made_here = source.made_here
        self.callbacks = tuple(callbacks)
        self.steps.expect("train", source.shapes)
        self.is_training = True
        try:
            with shares.layouts(model), backend.keeps_weights(model):
                yield [position, ScheduleCheck()]
        finally:
            swap_back(model)  # after an exception
            self.is_training = False
            self.schedule = None
            if isinstance(source.x, SeededDataset):
                source.x.first_batch = 0
            if hasattr(source.x, "stop_drawing_ahead"):
                source.x.stop_drawing_ahead()
            with contextlib.suppress(TypeError):  # takes no weak reference
                self._data_base = (weakref.ref(source.x), position.base)
            with contextlib.ExitStack() as stack:
                # Keras tells them of the end of training, not of exceptions.
                # All are told in their order, even if one of them fails.
                for callback in reversed(callbacks):
                    if hasattr(callback, "on_fit_end"):
                        stack.callback(callback.on_fit_end)

    @contextlib.contextmanager
    def evaluation(self, model, by_fit=False):
        """Context of `evaluate`, which does not change the model.

        Evaluation uses a separate random stream. During training it uses the
        averaged weights, and the state of the training metrics is restored.

        Args:
            model: the `DriftModel`.
            by_fit: bool, whether it is the validation of `fit`, which calls
                its callbacks. Defaults to `False`.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(shares.layouts(model))
            if self.is_training:
                backend.sync(model)
                stack.enter_context(kept(model.metrics_variables))
                # Keras' own callback swaps them in where it is called.
                if not (by_fit and swaps_of(self.callbacks)):
                    stack.enter_context(averaged_weights(model))
            stack.enter_context(randomness.evaluation_stream(model))
            schedule = self.schedule
            try:
                yield
            finally:
                self.schedule = schedule  # a callback was for training

    def one_batch(self, model):
        """Context of `train_on_batch`, which a callback of `fit` may call."""
        if self.is_training:
            return self.steps.restores_training_step(model)
        return contextlib.nullcontext()

    def choose_step(self, kind, model, make):
        """Gives the model the compiled step of its present state.

        Args:
            kind: `"train"` or `"test"`.
            model: the `DriftModel`.
            make: see `CompiledSteps.choose`.
        """
        schedule = self.schedule_of(model) if kind == "train" else None
        self.steps.choose(kind, model, schedule, make)

    def forget_steps(self):
        """Forgets all compiled steps: the model is compiled anew."""
        self.steps.forget()
        self.is_equalized = False

    def equalize(self, model, again=True):
        """Gives all processes the variables of the first one.

        Args:
            model: the `DriftModel`.
            again: bool, whether to do so if it was done since the model was
                compiled. Defaults to `True`.
        """
        if again or not self.is_equalized:
            backend.equalize(model)
        self.is_equalized = True

    def continued(self, data, num_steps):
        """Epochs of a number of batches, which go on in a data set.

        Args:
            data: `SeededDataset`.
            num_steps: int >= 1, the `steps_per_epoch` of `fit`.

        Returns:
            A `ContinuedDataset`, that of the `fit` before where it was given
            the same.
        """
        known = self._continued
        if known is None or not known.continues(data, num_steps):
            self._continued = ContinuedDataset(data, num_steps)
        return self._continued

    def restore_data(self, data):
        """Gives the restored state to the data source of the next `fit`.

        Before its first batch is looked at, which may take long in another
        state, or change it.

        Args:
            data: the data source; `None` where arrays are given.
        """
        if self.data_state is not None and data is not None:
            if hasattr(data, "set_state"):
                process_shares.restore(
                    data, self.data_state, self.data_state_is_own
                )
            self._data_base = (None, None)
        self.data_state = None

    def callbacks_of_fit(self, model, data, callbacks, first_epoch, **kwargs):
        """What Keras takes as `callbacks`, for the restored position.

        The position is kept until training goes on from it: a `fit` that was
        refused may be repeated.

        Args:
            model: the `DriftModel`.
            data: the data source it trains on.
            callbacks: list of callbacks.
            first_epoch: int, the `initial_epoch` of `fit`.
            **kwargs: `epochs` and `verbose` of `fit`, and `steps`, the number
                of steps in an epoch, or `None`.
        """
        if self.position is None or self.position["epoch"] != first_epoch:
            self.position = None
            return callbacks
        return RestOfEpoch(
            callbacks,
            self.position,
            data,
            model=model,
            add_history=True,
            add_progbar=kwargs["verbose"] != 0,
            **kwargs,
        )

    def _base(self, source, first_epoch):
        """The epoch of the data set at epoch 0 of `fit`, or `None`."""
        data = source.x
        known, base = self._data_base
        same = known is not None and known() is data
        return base if same and first_epoch > 0 else None
