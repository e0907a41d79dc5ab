"""Context manager for the moving averages of the weights."""

import contextlib

import keras
from keras import ops

from keras_drift import backend
from keras_drift import user_warnings


@contextlib.contextmanager
def averaged_weights(model):
    """Context manager that swaps in the moving averages of the weights.

    Args:
        model: a compiled `keras.Model`. If its optimizer keeps no averages
            (`use_ema=False`), or has not made a step, nothing changes; nor
            while `keras.callbacks.SwapEMAWeights` has swapped them in.
    """
    if swapped_by(model):
        yield
        return
    backend.sync(model)
    swapped = pairs(getattr(model, "optimizer", None))
    trained = [ops.copy(ops.convert_to_tensor(w)) for w, _ in swapped]
    try:
        for weight, average in swapped:
            weight.assign(ops.convert_to_tensor(average))
        yield
    finally:
        backend.sync(model)
        for (weight, _), value in zip(swapped, trained, strict=True):
            weight.assign(value)


def pairs(optimizer):
    """Pairs of trained weights and their moving averages.

    Args:
        optimizer: a Keras optimizer, or `None`.

    Returns:
        A list of pairs of variables, empty without averages, or before the
        first step.
    """
    if optimizer is None:
        return []
    # Unwraps a `LossScaleOptimizer`, and optimizers of separate layers.
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    found = []
    for each in getattr(optimizer, "optimizers", [optimizer]):
        if not (getattr(each, "use_ema", False) and each.built):
            continue
        if int(backend.host_value(each.iterations)) == 0:
            continue  # averages are initialized to zero
        found += zip(
            each._trainable_variables,
            each._model_variables_moving_average,
            strict=True,
        )
    return found


def swaps_of(callbacks):
    """Those of the callbacks that swap in averages.

    Args:
        callbacks: iterable of callbacks.

    Returns:
        A list of `keras.callbacks.SwapEMAWeights`.
    """
    swap = keras.callbacks.SwapEMAWeights
    return [callback for callback in callbacks if isinstance(callback, swap)]


def swapped_by(model):
    """The callbacks of `fit` that have the averages in the model.

    Args:
        model: a `keras.Model`, not necessarily a `DriftModel`.

    Returns:
        A list of `keras.callbacks.SwapEMAWeights`.
    """
    run = getattr(model, "run", None)
    return [
        swap
        for swap in swaps_of(getattr(run, "callbacks", ()))
        if swap.model is model and swap._ema_weights_in_model
    ]


def warn_of_raw_weights(model, callbacks):
    """Warns of callbacks that keep other weights than those evaluated.

    With averages, validation measures them, while `EarlyStopping` and
    `ModelCheckpoint` keep the weights in the model, which are the raw ones.
    """
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    optimizers = getattr(optimizer, "optimizers", [optimizer])
    has_averages = any(getattr(each, "use_ema", False) for each in optimizers)
    # Others have the averages in the model during validation alone.
    keeps_averages = any(swap.swap_on_epoch for swap in swaps_of(callbacks))
    if not has_averages or keeps_averages:
        return
    for callback in callbacks:
        if getattr(callback, "restore_best_weights", False) or getattr(
            callback, "save_best_only", False
        ):
            user_warnings.warn(
                f"`{type(callback).__name__}` judges by the averaged weights, "
                "which validation measures, and keeps the raw ones. Put "
                "`keras.callbacks.SwapEMAWeights(swap_on_epoch=True)` before "
                "it to keep the averages."
            )
