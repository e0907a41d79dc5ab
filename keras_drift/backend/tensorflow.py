"""TensorFlow: a step changes variables in place."""


def run(model, state, function, *args):
    """Calls `function(*args)`: returns `(result, state)`."""
    del model  # its variables are where the function looks for them
    return function(*args), state


def step(function, state, batch):
    """Calls Keras' own step: returns `(logs, state)`."""
    return function(batch), state


def step_result(logs, state):
    """What Keras expects a step to return."""
    del state  # there is none
    return logs
