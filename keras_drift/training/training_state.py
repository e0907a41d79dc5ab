"""Saves and restores the state of a training run."""

import copy

from keras_drift import backend
from keras_drift import seed_states
from keras_drift.training import rest_of_epoch
from keras_drift.training.randomness import seed_generators
from keras_drift.training.trained_weights import swap_back
from keras_drift.training.trained_weights import trained_weights


def get(model):
    """Collects the state of a run: see `DriftModel.training_state`."""
    groups = variables(model)
    sharded = backend.first_sharded([v for g in groups.values() for v in g])
    if sharded is not None:
        raise ValueError(
            "No process holds the whole state: the weights are sharded over "
            "several of them. `callbacks.TrainingCheckpoint` saves them, each "
            f"process its shards. Received: {sharded.path!r} of shape "
            f"{tuple(sharded.shape)} in {backend.num_processes()} processes"
        )
    with trained_weights(model):
        arrays = {name: _values(group) for name, group in groups.items()}
    return {**arrays, **get_other(model)}


def get_other(model):
    """Collects the state of a run without `variables(model)`."""
    return {
        "random": _values([g.state for g in seed_generators(model)]),
        "data": _data_state(model),
    }


def variables(model):
    """The variables of a run, except the states of random generators.

    Args:
        model: a `DriftModel`. The optimizer is built.

    Returns:
        A dict of the lists `"weights"` and `"optimizer"`.
    """
    backend.sync(model)
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        backend.build_optimizer(model)
    states = [g.state for g in seed_generators(model)]
    weights = [
        variable
        for variable in model.variables
        if all(variable is not state for state in states)
    ]
    return {
        "weights": weights,
        "optimizer": [] if optimizer is None else list(optimizer.variables),
    }


def restore(model, state):
    """Restores a state: see `DriftModel.restore_training_state`."""
    groups = {
        **variables(model),
        "random": [g.state for g in seed_generators(model)],
    }
    # Everything is checked before anything changes.
    for name, group in groups.items():
        if not isinstance(state, dict) or name not in state:
            raise ValueError(
                "The state of a training run is the dict that "
                "`training_state()` returned. Received: a "
                f"{type(state).__name__} without {name!r}"
            )
        check(name, group, [tuple(value.shape) for value in state[name]])
    swap_back(model)  # and leaves nothing to swap: both are restored
    for name, group in groups.items():
        for variable, value in zip(group, state[name], strict=True):
            if name == "random":
                seed_states.assign(variable, value)
            else:
                backend.assign(variable, value)
    model.run.data_state = state.get("data")
    model.run.data_state_is_own = state.get("is_own")
    model.run.position = rest_of_epoch.usable(state.get("position"))


def check(name, group, shapes):
    """Refuses a state whose arrays do not fit to the variables of a model.

    Args:
        name: str, what the variables are.
        group: list of variables.
        shapes: list of tuples, those of the arrays.
    """
    expected = [tuple(v.shape) for v in group]
    if expected != shapes:
        first = next(
            (
                f"{variable.path}: {shape} instead of {tuple(variable.shape)}"
                for variable, shape in zip(group, shapes, strict=False)
                if tuple(variable.shape) != shape
            ),
            f"{len(shapes)} arrays instead of {len(expected)}",
        )
        raise ValueError(
            "This state is of another model or optimizer: its "
            f"`{name}` do not fit. Build and compile the model in the same "
            f"way first. Received: {first}"
        )


def _values(group):
    return [_own(backend.host_value(v)) for v in group]


def _own(array):
    """An array that nobody else changes: itself, if it is a copy already."""
    is_own = array.flags.owndata and array.flags.writeable
    return array if is_own else array.copy()


def _data_state(model):
    source = None if model.run.data_is_made_here else model.run.data
    if not hasattr(source, "get_state"):
        return None
    # It may be written while training goes on, which changes what is its own.
    return copy.deepcopy(source.get_state())
