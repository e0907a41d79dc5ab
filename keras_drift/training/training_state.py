"""Saves and restores the state of a training run."""

import copy

from keras import ops

from keras_drift import backend
from keras_drift.training.randomness import assign
from keras_drift.training.randomness import seed_generators


def get(model):
    """Collects the state of a run: see `DriftModel.training_state`."""
    backend.sync(model)
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        backend.build_optimizer(model)
    return {
        "weights": _values(_weights(model)),
        "optimizer": [] if optimizer is None else _values(optimizer.variables),
        "random": _values([g.state for g in seed_generators(model)]),
        "data": _data_state(model),
    }


def restore(model, state):
    """Restores a state: see `DriftModel.restore_training_state`."""
    backend.sync(model)
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        backend.build_optimizer(model)
    groups = {
        "weights": _weights(model),
        "optimizer": [] if optimizer is None else optimizer.variables,
        "random": [g.state for g in seed_generators(model)],
    }
    # Everything is checked before anything changes.
    for name, variables in groups.items():
        _check(name, variables, state)
    for name, variables in groups.items():
        for variable, value in zip(variables, state[name], strict=True):
            if name == "random":
                assign(variable, value)
            else:
                variable.assign(value)
    model.run.data_state = state.get("data")
    model.run.position = state.get("position")


def _weights(model):
    """All variables except the states of random generators."""
    states = [g.state for g in seed_generators(model)]
    return [
        variable
        for variable in model.variables
        if all(variable is not state for state in states)
    ]


def _values(variables):
    return [ops.convert_to_numpy(v).copy() for v in variables]


def _data_state(model):
    source = None if model.run.data_is_made_here else model.run.data
    if not hasattr(source, "get_state"):
        return None
    # It may be written while training goes on, which changes what is its own.
    return copy.deepcopy(source.get_state())


def _check(name, variables, state):
    if not isinstance(state, dict) or name not in state:
        raise ValueError(
            "The state of a training run is the dict that `training_state()` "
            f"returned. Received: a {type(state).__name__} without {name!r}"
        )
    expected = [tuple(v.shape) for v in variables]
    received = [tuple(value.shape) for value in state[name]]
    if expected != received:
        first = next(
            (
                f"{variable.path}: {shape} instead of {tuple(variable.shape)}"
                for variable, shape in zip(variables, received, strict=False)
                if tuple(variable.shape) != shape
            ),
            f"{len(received)} arrays instead of {len(expected)}",
        )
        raise ValueError(
            "This state is of another model or optimizer: its "
            f"`{name}` do not fit. Build and compile the model in the same "
            f"way first. Received: {first}"
        )
