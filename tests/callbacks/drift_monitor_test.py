import keras
import numpy as np
import pytest

import user_line
from keras_drift import DriftModel
from keras_drift import callbacks
from keras_drift import datasets
from keras_drift import drifts
from keras_drift import generators
from keras_drift import kernels
from keras_drift import metrics

DATA = datasets.two_moons(128, seed=0)
HELD_OUT = datasets.two_moons(200, seed=1)


def small_model(**options):
    drift = drifts.KernelDrift(kernels.Laplacian(0.5))
    generator = generators.MLP(2, hidden_dims=(16,))
    return DriftModel(generator, drift, seed=0, **options)


def test_reports_norm_distance_and_floor():
    model = small_model()
    model.compile("adam")
    monitor = callbacks.DriftMonitor(HELD_OUT, every=2)
    history = model.fit(DATA, epochs=4, verbose=0, callbacks=[monitor]).history
    for name in (
        "drift_norm",
        "distance",
        "floor",
        "precision",
        "precision_floor",
        "recall",
        "recall_floor",
    ):
        column = history[f"monitor_{name}"]
        # Every epoch has the columns, for the `CSVLogger`.
        assert len(column) == 4
        assert np.all(np.isfinite(column[1::2]))
    order = np.random.default_rng(0).permutation(200)
    real, others = HELD_OUT[order[:100]], HELD_OUT[order[100:]]
    generated = model.generate(100, seed=0)
    for name, function in (
        ("distance", metrics.sliced_wasserstein),
        ("precision", metrics.nearest_neighbor_precision),
        ("recall", metrics.nearest_neighbor_recall),
    ):
        last = history[f"monitor_{name}"][-1]
        assert last == pytest.approx(float(function(generated, real)))
        floor = "floor" if name == "distance" else f"{name}_floor"
        last = history[f"monitor_{floor}"][-1]
        assert last == pytest.approx(float(function(others, real)))
    assert history["monitor_floor"][-1] < history["monitor_distance"][-1]


def test_monitor_does_not_change_training():
    weights = []
    for watching in ([], [callbacks.DriftMonitor(HELD_OUT)]):
        keras.utils.set_random_seed(0)
        model = small_model()
        model.compile(keras.optimizers.SGD(0.1))
        model.fit(DATA, epochs=2, shuffle=False, verbose=0, callbacks=watching)
        weights.append(model.get_weights())
    for without, with_monitor in zip(*weights, strict=True):
        np.testing.assert_allclose(without, with_monitor, atol=1e-6)


def test_works_with_classes():
    labels = np.arange(128) % 2
    model = DriftModel(generators.MLP(2, hidden_dims=(8,), num_classes=2))
    model.compile("adam")
    monitor = callbacks.DriftMonitor(HELD_OUT, np.arange(200) % 2)
    history = model.fit(DATA, labels, verbose=0, callbacks=[monitor]).history
    assert np.isfinite(history["monitor_drift_norm"][0])


def test_warns_when_the_norm_falls_and_the_distance_does_not():
    monitor = callbacks.DriftMonitor(HELD_OUT)
    monitor.on_train_begin()
    monitor._watch(0, norm=1.0, distance=0.5, floor=0.05)
    monitor._watch(1, norm=0.5, distance=0.48, floor=0.05)
    with user_line.warns("Drift collapse at epoch 3"):
        monitor._watch(2, norm=0.05, distance=0.47, floor=0.05)
    monitor._watch(3, norm=0.04, distance=0.47, floor=0.05)  # warns once


def test_does_not_warn_when_both_fall():
    monitor = callbacks.DriftMonitor(HELD_OUT)
    monitor.on_train_begin()
    monitor._watch(0, norm=1.0, distance=0.5, floor=0.05)
    monitor._watch(1, norm=0.05, distance=0.06, floor=0.05)


def test_measures_in_the_features_of_an_encoder():
    dense = keras.layers.Dense(3)
    found = []
    for encoder, held_out in ((dense, HELD_OUT), (None, dense(HELD_OUT))):
        monitor = callbacks.DriftMonitor(
            keras.ops.convert_to_numpy(held_out), encoder=encoder
        )
        monitor.on_train_begin()
        found.append(monitor._floors)
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    with pytest.raises(TypeError, match="callable"):
        callbacks.DriftMonitor(HELD_OUT, encoder="dense")


def test_refuses_data_that_do_not_fit_the_model():
    with pytest.raises(ValueError, match="at least 4"):
        callbacks.DriftMonitor(HELD_OUT[:3])
    with pytest.raises(ValueError, match="all finite"):
        callbacks.DriftMonitor(np.full((8, 2), np.nan))
    with pytest.raises(ValueError, match="200 samples, 3 labels"):
        callbacks.DriftMonitor(HELD_OUT, [0, 1, 2])
    with pytest.raises(ValueError, match=r"\(2,\).*Received: \(3,\)"):
        callbacks.DriftMonitor(np.zeros((8, 3))).set_model(small_model())
    with pytest.raises(ValueError, match="labels=given"):
        callbacks.DriftMonitor(HELD_OUT, np.zeros(200)).set_model(small_model())


@pytest.mark.parametrize("every", [1, 2, 3])
def test_best_values_follow_reports_of_some_epochs(every, tmp_path):
    model = small_model()
    model.compile(keras.optimizers.Adam(1e-2))
    watched = {"monitor": "monitor_distance"}  # without a `mode`
    stop = keras.callbacks.EarlyStopping(**watched, patience=7)
    keep = keras.callbacks.ModelCheckpoint(
        tmp_path / "best.keras", **watched, save_best_only=True
    )
    lower = keras.callbacks.ReduceLROnPlateau(**watched, patience=7)
    monitor = callbacks.DriftMonitor(HELD_OUT, every=every)
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    history = model.fit(
        DATA,
        epochs=7,
        batch_size=32,
        verbose=0,
        callbacks=[monitor, stop, keep, lower, log],
    ).history
    column = history["monitor_distance"]
    reported = {0} | {e for e in range(7) if (e + 1) % every == 0}
    for epoch in range(1, 7):
        repeated = column[epoch] == column[epoch - 1]
        assert repeated == (epoch not in reported)
    assert stop.best == keep.best == lower.best == min(column)
    assert len({*history["learning_rate"]}) == 1
    assert "nan" not in (tmp_path / "log.csv").read_text()


@pytest.mark.parametrize("name", ["drift_norm", "precision", "recall"])
def test_announces_that_lower_is_better(name):
    model = small_model()
    model.compile("adam")
    stop = keras.callbacks.EarlyStopping(f"monitor_{name}")
    monitor = callbacks.DriftMonitor(HELD_OUT)
    model.fit(DATA, verbose=0, callbacks=[monitor, stop])
    assert stop.monitor_op is keras.ops.less


def test_a_resumed_run_repeats_the_last_report(tmp_path):
    def run(epochs):
        model = small_model()
        model.compile("adam")
        monitor = callbacks.DriftMonitor(HELD_OUT, every=4)
        saving = callbacks.TrainingCheckpoint(tmp_path / "run")
        return model.fit(
            DATA, epochs=epochs, verbose=0, callbacks=[monitor, saving]
        ).history["monitor_distance"]

    assert run(2)[-1] == run(3)[0]


def test_refuses_what_are_no_samples_and_no_seed():
    for samples in (None, "moons", {"x": HELD_OUT}):
        with pytest.raises(TypeError, match=r"held-out data.*samples of type"):
            callbacks.DriftMonitor(samples)
    with pytest.raises(TypeError, match="seed='a'"):
        callbacks.DriftMonitor(HELD_OUT, seed="a")
    with pytest.raises(ValueError, match="seed=-1"):
        callbacks.DriftMonitor(HELD_OUT, seed=-1)
