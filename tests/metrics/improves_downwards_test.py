import functools

import keras
import numpy as np

from keras_drift import DriftModel
from keras_drift import drifts
from keras_drift import metrics
from keras_drift.metrics.improves_downwards import ImprovesDownwards
from small_models import small_mlp

DISTANCES = ("sliced_wasserstein", "frechet_distance", "energy_distance")
FLOORS = [f"{name}_floor" for name in DISTANCES]
DATA = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")


class AnnouncingModel(DriftModel):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.directions = ImprovesDownwards(["drift_norm", *FLOORS])


@functools.cache
def compiled(model_class):
    """A model, compiled once, and the state it starts every training from."""
    model = model_class(small_mlp(), drifts.KernelDrift(), seed=0)
    model.compile(
        "sgd",
        metrics=[
            metrics.SlicedWasserstein(4),
            metrics.FrechetDistance(),
            metrics.EnergyDistance(),
        ],
    )
    return model, model.training_state()


def fitted(model_class, callbacks=(), epochs=1):
    keras.utils.set_random_seed(0)
    model, start = compiled(model_class)
    model.restore_training_state(start)
    history = model.fit(
        DATA,
        batch_size=8,
        validation_data=DATA,
        epochs=epochs,
        callbacks=list(callbacks),
        verbose=0,
    )
    return model, history.history


def monitors(monitor, tmp_path):
    return (
        keras.callbacks.EarlyStopping(monitor),
        keras.callbacks.ReduceLROnPlateau(monitor),
        keras.callbacks.ModelCheckpoint(
            tmp_path / "best.weights.h5",
            monitor,
            save_best_only=True,
            save_weights_only=True,
        ),
    )


def test_callbacks_without_a_mode_know_every_logged_value(tmp_path):
    _, history = fitted(AnnouncingModel)
    names = {"loss", "drift_norm", *DISTANCES, *FLOORS}
    assert set(history) == names | {f"val_{name}" for name in names}
    callbacks = [c for name in history for c in monitors(name, tmp_path)]
    fitted(AnnouncingModel, callbacks)
    for callback in callbacks:
        assert callback.monitor_op is keras.ops.less, callback.monitor


def test_distances_improve_as_they_fall_in_any_model(tmp_path):
    names = (f"val_{name}" for name in DISTANCES)
    callbacks = [c for name in names for c in monitors(name, tmp_path)]
    fitted(DriftModel, callbacks)
    for callback in callbacks:
        assert callback.monitor_op is keras.ops.less


def test_early_stopping_stops_once_the_distance_rises():
    class Rising(keras.callbacks.Callback):
        """Replaces the measured distances by known ones."""

        def on_epoch_end(self, epoch, logs=None):
            logs["val_sliced_wasserstein"] = [3.0, 2.0, 1.0, 2.0, 3.0][epoch]

    stopping = keras.callbacks.EarlyStopping("val_sliced_wasserstein")
    fitted(DriftModel, [Rising(), stopping], epochs=5)
    assert stopping.stopped_epoch == 3
    assert stopping.best == 1.0


def test_announcing_changes_no_log_and_no_variable():
    plain, history = fitted(DriftModel, epochs=2)
    model, announced = fitted(AnnouncingModel, epochs=2)
    assert announced == history
    assert len(model.metrics_variables) == len(plain.metrics_variables)
    assert ImprovesDownwards(["a"]).variables == []
