"""Saves and restores the internal state of callbacks."""

import keras
import numpy as np

from keras_drift import user_warnings

# Attributes of Keras' callbacks, which have no method for them.
_ATTRIBUTES = {
    keras.callbacks.EarlyStopping: (
        "best",
        "best_epoch",
        "best_weights",
        "wait",
    ),
    keras.callbacks.ModelCheckpoint: (
        "best",
        "_batches_seen_since_last_saving",
        "_last_batch_seen",
    ),
    keras.callbacks.ReduceLROnPlateau: ("best", "cooldown_counter", "wait"),
}


def get(callbacks):
    """Collects the states of those callbacks that have one.

    Args:
        callbacks: list of callbacks, at the end of an epoch or a batch.

    Returns:
        A list of `{"class_name": str, "state": ...}`, in their order.
    """
    return [
        {"class_name": type(callback).__name__, "state": _state_of(callback)}
        for callback in callbacks
        if _has_state(callback)
    ]


def restore(callbacks, states):
    """Gives callbacks their states, after their `on_train_begin`.

    Several of one class are told apart by their order. It warns of states
    without a callback, and leaves callbacks without a state as they are.

    Args:
        callbacks: list of callbacks.
        states: list that `get` returned.
    """
    absent = []
    for callback, each in _pairs(callbacks, states):
        if callback is None:
            absent.append(each["class_name"])
        else:
            _give(callback, each["state"])
    if absent:
        user_warnings.warn(
            "The run that goes on had callbacks which this one lacks; what "
            "they had counted is left out. Give `fit` the same callbacks, "
            f"unless you removed them on purpose. Received: no {absent}"
        )


def stop_early(callbacks, states):
    """Whether an `EarlyStopping` has waited for as long as it is to now.

    Args:
        callbacks: list of callbacks, whose `patience` may be another one than
            that of the run that was saved.
        states: list that `get` returned.
    """
    return any(
        isinstance(callback, keras.callbacks.EarlyStopping)
        and not hasattr(callback, "get_state")  # of what it is, only it knows
        # Keras waits for one epoch at least, also with `patience=0`.
        and each["state"]["wait"] >= max(1, callback.patience)
        for callback, each in _pairs(callbacks, states)
    )


def _pairs(callbacks, states):
    """Yields a callback, or `None` if it is gone, with each entry of states."""
    waiting = [callback for callback in callbacks if _has_state(callback)]
    for each in states:
        name = each["class_name"]
        found = [c for c in waiting if type(c).__name__ == name]
        if found:
            waiting.remove(found[0])
        yield (found[0] if found else None), each


def _has_state(callback):
    has_methods = hasattr(callback, "get_state") and hasattr(
        callback, "set_state"
    )
    return has_methods or bool(_attributes_of(callback))


def _attributes_of(callback):
    return next(
        (
            names
            for cls, names in _ATTRIBUTES.items()
            if isinstance(callback, cls)
        ),
        (),
    )


def _state_of(callback):
    if hasattr(callback, "get_state"):
        return callback.get_state()
    return {
        name: _plain(getattr(callback, name, None))
        for name in _attributes_of(callback)
    }


def _plain(value):
    """A number that JSON can hold, a list of arrays, or `None`."""
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, list):
        return [np.array(each) for each in value]
    return float(value)


def _give(callback, state):
    if hasattr(callback, "set_state"):
        callback.set_state(state)
        return
    for name, value in state.items():
        setattr(callback, name, value)
