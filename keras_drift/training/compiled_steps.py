"""Cache of the compiled steps of a model."""

import contextlib

import keras

from keras_drift import backend
from keras_drift.own_arguments import all_plain_attributes

# Arguments of a model that compiled steps depend on.
ARGUMENTS = (
    "generator",
    "drift",
    "encoder",
    "step_size",
    "num_generated",
    "frozen_steps",
    "stop_gradient",
    "guidance_sampler",
    "loss_weights",
    "bandwidth_schedule",
    "field_scope",
    "micro_batches",
)

# Steps are kept for as many shapes of batches.
_MAX_SHAPES = 4


class CompiledSteps:
    """Cache of the compiled steps of a model.

    A step is compiled again where a part of the model has changed. On backends
    whose compiled steps take batches of one shape, it holds one for each shape.
    """

    def __init__(self):
        self._steps = {}
        self._shapes = {}

    def expect(self, kind, shapes):
        """Records the shapes of the next batches; `None` if unknown.

        Args:
            kind: `"train"`, `"test"`, or `"validation"` of the current `fit`.
            shapes: tuple of tuples, see `data_sources.Source`, or `None`.
        """
        # Of batches of unknown shapes, each source needs a step of its own.
        self._shapes[kind] = object() if shapes is None else shapes

    def expect_validation(self):
        """The next batches to evaluate are those of `validation_data`."""
        self._shapes["test"] = self._shapes["validation"]

    def with_known_sizes(self, kind, data):
        """A batch in a compiled step, of which all known sizes are static.

        TensorFlow takes the first axis of a data set for one of unknown size.
        Of an unknown number of groups, or of samples, all pairs would be one
        block, whatever memory that takes.

        Args:
            kind: `"train"` or `"test"`.
            data: a batch of the data source that was expected.
        """
        shapes = self._shapes.get(kind)
        if not isinstance(shapes, tuple):
            return data
        of_parts = iter(shapes)
        known = [
            None
            if part is None
            else backend.with_known_sizes(part, next(of_parts))
            for part in keras.tree.flatten(data)
        ]
        return keras.tree.pack_sequence_as(data, known)

    @contextlib.contextmanager
    def restores_training_step(self, model):
        """Context in `fit` for a batch that may need another training step.

        Args:
            model: the `DriftModel`.
        """
        step, shapes = model.train_function, self._shapes["train"]
        try:
            yield
        finally:
            model.train_function = step
            self._shapes["train"] = shapes

    def choose(self, kind, model, schedule, make):
        """Gives the model the compiled step of its present state.

        Args:
            kind: `"train"` or `"test"`.
            model: the `DriftModel`.
            schedule: the bandwidth schedule in a training step, or `None`.
            make: callable that compiles a new step, as an attribute of the
                model.
        """
        name = f"{kind}_function"
        shapes = self._compiled_shapes(kind)
        program = _program(model, schedule)
        known, step = self._steps.get((kind, shapes), (None, None))
        is_compiled = getattr(model, name) is not None  # since `compile`
        if is_compiled and known is not None and _same(program, known):
            setattr(model, name, step)
            return
        make()
        self._steps = {
            key: value
            for key, value in self._steps.items()
            if key[0] != kind
            or (isinstance(key[1], tuple) and _same(program, value[0]))
        }
        self._steps[kind, shapes] = program, getattr(model, name)

    def forget(self):
        """Forgets all steps: the model is compiled anew."""
        self._steps = {}

    def _compiled_shapes(self, kind):
        """The shapes that the next step is compiled for.

        After a few of them, one step takes all others of these ranks.
        """
        shapes = self._shapes.get(kind)
        if backend.SERVES_ANY_SHAPE:
            return None
        if not isinstance(shapes, tuple) or (kind, shapes) in self._steps:
            return shapes
        ranks = _of_any_size(shapes)
        alike = [
            one == kind and isinstance(other, tuple) and _of_any_size(other)
            for one, other in self._steps
        ]
        if alike.count(ranks) >= _MAX_SHAPES:
            self._shapes[kind] = ranks
        return self._shapes[kind]


def _program(model, schedule):
    """All that compilation reads of a model and takes for constant."""
    program = [
        getattr(model, name)
        for name in ARGUMENTS
        if name not in ("loss_weights", "bandwidth_schedule")
    ]
    # What may have changed inside of these.
    program.append(repr(model.loss_weights))
    program.append(_inside(model.drift))
    program.append(_inside(model.step_size))
    program.append(_inside(model.guidance_sampler))
    program += all_plain_attributes(model.drift)
    program += all_plain_attributes(model.encoder)
    program += [schedule, _inside(schedule)]
    return program + model.variables


def _same(program, other):
    return len(program) == len(other) and all(
        one is two or (isinstance(one, (int, float, str)) and one == two)
        for one, two in zip(program, other, strict=True)
    )


def _inside(part):
    """The arguments of a drift, schedule or sampler, if it can tell them."""
    describe = getattr(part, "get_config", None)
    try:
        return repr(describe()) if callable(describe) else ""
    except NotImplementedError:  # a user's own, without `get_config`
        return ""


def _of_any_size(shapes):
    return tuple((None,) * len(shape) for shape in shapes)
