"""JAX: the variables travel through a step as an explicit state."""

import keras


def run(model, state, function, *args):
    """Calls `function(*args)` on the variables that `state` holds.

    Args:
        model: the model whose variables they are.
        state: list with what precedes the data among the arguments of a step.
        function: may read and assign variables of the model.
        *args: its arguments.

    Returns:
        `(result, state)`, the state as the function left it.
    """
    groups = _variables(model, len(state[0]))
    mapping = [
        pair
        for variables, values in zip(groups, state[0], strict=True)
        for pair in zip(variables, values, strict=True)
    ]
    with keras.StatelessScope(state_mapping=mapping) as scope:
        result = function(*args)
    new = tuple([_current(scope, v) for v in variables] for variables in groups)
    return result, [new]


def step(function, state, batch):
    """Calls Keras' own step: returns `(logs, state)`."""
    logs, new = function(*state, batch)
    return logs, [new]


def step_result(logs, state):
    """What Keras expects a step to return."""
    return logs, state[0]


def _variables(model, num_groups):
    groups = [model.trainable_variables, model.non_trainable_variables]
    if num_groups == 4:  # training; evaluation has no optimizer
        groups.append(model.optimizer.variables)
    return [*groups, model.metrics_variables]


def _current(scope, variable):
    value = scope.get_current_value(variable)
    return variable.value if value is None else value
