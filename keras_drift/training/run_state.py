"""State of a training run that is not a weight."""

import contextlib
import weakref

import keras

from keras_drift import backend
from keras_drift.training import randomness
from keras_drift.training.averaged_weights import averaged_weights
from keras_drift.training.data_position import DataPosition

# Arguments of a model that compiled steps depend on.
_ARGUMENTS = (
    "generator",
    "drift",
    "encoder",
    "loss_weights",
    "step_size",
    "num_generated",
    "frozen_steps",
    "stop_gradient",
    "guidance_sampler",
)


class RunState:
    """State of a training run that is not a weight.

    Attributes:
        is_training: bool, whether `fit` is running.
        callbacks: tuple, the user's callbacks in the current `fit`.
        schedule: the bandwidth schedule of the current `fit`, or `None`.
        data: the data source of the last `fit`, or `None`.
        data_state: the initial state of the next data source, or `None`.
        missing_encoder: the preset of an encoder that was not loaded, or
            `None`.
    """

    def __init__(self):
        self.is_training = False
        self.callbacks = ()
        self.schedule = None
        self.data = None
        self.data_state = None
        self.missing_encoder = None
        self._data_base = (None, None)
        self._programs = {}
        self._ranks = {}

    def require_encoder(self):
        """Raises an error if the model was loaded without its encoder."""
        if self.missing_encoder is not None:
            raise ValueError(
                "This model was loaded without its encoder, in whose features "
                "the drift is computed. Load it with "
                "`from_preset(..., load_encoder=True)`. Received: "
                f"encoder={self.missing_encoder!r}, which was not loaded"
            )

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
        self.callbacks = tuple(callbacks)
        self.expect("train", source.ranks)
        self.is_training = True
        try:
            with backend.divisible_layouts(), backend.keeps_weights(model):
                yield [position]
        finally:
            self.is_training = False
            self.schedule = None
            with contextlib.suppress(TypeError):  # takes no weak reference
                self._data_base = (weakref.ref(source.x), position.base)

    @contextlib.contextmanager
    def evaluation(self, model):
        """Context of `evaluate`, which does not change the model.

        Evaluation uses a separate random stream. During training it uses the
        averaged weights, and the state of the training metrics is restored.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(backend.divisible_layouts())
            if self.is_training:
                backend.sync(model)
                stack.enter_context(_kept(model.metrics_variables))
                if not self._swaps_averages():
                    stack.enter_context(averaged_weights(model))
            stack.enter_context(randomness.evaluation_stream(model))
            yield

    def _swaps_averages(self):
        """Whether Keras' own callback swaps in the averages for evaluation."""
        swap = keras.callbacks.SwapEMAWeights
        return any(isinstance(callback, swap) for callback in self.callbacks)

    def expect(self, kind, ranks):
        """Records the ranks of the next batches; `None` if unknown."""
        self._ranks[kind] = ranks

    def is_stale(self, kind, model):
        """Whether a compiled step is out of date.

        Args:
            kind: `"train"` or `"test"`.
            model: the `DriftModel`.
        """
        program = [getattr(model, name) for name in _ARGUMENTS]
        program.append(self.schedule_of(model))
        program += model.variables
        if not backend.SERVES_ANY_RANK:
            program.append(self._ranks.get(kind) or object())
        known = self._programs.get(kind)
        self._programs[kind] = program
        return known is not None and not _same(program, known)

    def _base(self, source, first_epoch):
        """The epoch of the data set at epoch 0 of `fit`, or `None`."""
        data = source.x
        if self.data_state is not None and not source.made_here:
            if hasattr(data, "set_state"):
                data.set_state(self.data_state)
            self._data_base = (None, None)
        self.data_state = None
        known, base = self._data_base
        same = known is not None and known() is data
        return base if same and first_epoch > 0 else None


@contextlib.contextmanager
def _kept(variables):
    """Context manager that restores the values of variables."""
    values = [backend.host_value(v).copy() for v in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def _same(program, other):
    return len(program) == len(other) and all(
        one is two or (isinstance(one, (int, float, tuple)) and one == two)
        for one, two in zip(program, other, strict=True)
    )
