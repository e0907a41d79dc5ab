import keras
import numpy as np
import pytest

import user_line
from contracts import numpy
from keras_drift import DriftModel
from keras_drift import callbacks
from keras_drift import generators

DATA = np.random.default_rng(0).normal(size=(32, 2)).astype("float32")
# The best is that of the second epoch.
SCORES = (3.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0)


class Scores(keras.callbacks.Callback):
    """Adds a score of the epoch to the logs."""

    def on_epoch_end(self, epoch, logs=None):
        logs["score"] = SCORES[epoch]


class Counter(keras.callbacks.Callback):
    """Counts the epochs of a run, with what it saw."""

    def on_train_begin(self, logs=None):
        self.seen, self.losses = 0, np.zeros(0)

    def on_epoch_end(self, epoch, logs=None):
        self.seen += 1
        self.losses = np.append(self.losses, logs["loss"])

    def get_state(self):
        return {"seen": self.seen, "losses": self.losses}

    def set_state(self, state):
        self.seen, self.losses = state["seen"], state["losses"]


def fit(folder, epochs, *others, seed=0):
    """A model and the epochs that it was trained for in this `fit`."""
    keras.utils.set_random_seed(seed)
    model = DriftModel(generators.MLP(2, hidden_dims=(8,)), seed=0)
    model.compile(keras.optimizers.Adam(1e-2))
    history = model.fit(
        DATA,
        batch_size=16,
        epochs=epochs,
        callbacks=[
            callbacks.TrainingCheckpoint(folder),
            Scores(),
            *others,
        ],
        verbose=0,
    )
    return model, history.epoch


def stopping(**options):
    return keras.callbacks.EarlyStopping(
        "score", mode="min", patience=3, **options
    )


@pytest.mark.parametrize("first", [1, 2, 3, 4])
def test_a_resumed_run_stops_early_where_another_does(tmp_path, first):
    best = {"restore_best_weights": True}
    straight, epochs = fit(tmp_path / "a", 9, stopping(**best))
    assert epochs == [0, 1, 2, 3, 4]
    fit(tmp_path / "b", first, stopping(**best))
    resumed, rest = fit(tmp_path / "b", 9, stopping(**best), seed=7)
    assert rest == epochs[first:]
    for one, two in zip(straight.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(numpy(one), numpy(two))


def plateau():
    return keras.callbacks.ReduceLROnPlateau(
        "score", mode="min", factor=0.5, patience=2, cooldown=2
    )


def learning_rate(model):
    return float(numpy(model.optimizer.learning_rate))


@pytest.mark.parametrize("first", [3, 4, 5])
def test_the_learning_rate_falls_where_that_of_another_run_does(
    tmp_path, first
):
    straight, _ = fit(tmp_path / "a", 6, plateau())
    assert learning_rate(straight) == pytest.approx(5e-3)
    fit(tmp_path / "b", first, plateau())
    resumed, _ = fit(tmp_path / "b", 6, plateau())
    assert learning_rate(resumed) == learning_rate(straight)


def test_the_best_file_is_not_replaced_by_a_worse_one(tmp_path):
    path = tmp_path / "best.keras"

    def best():
        return keras.callbacks.ModelCheckpoint(
            path, "score", mode="min", save_best_only=True
        )

    fit(tmp_path / "run", 2, best())
    saved = path.read_bytes()
    again = best()
    fit(tmp_path / "run", 4, again)
    assert again.best == 1.0
    assert path.read_bytes() == saved


def test_files_of_every_third_batch_are_those_of_a_straight_run(tmp_path):
    def files(folder):
        return keras.callbacks.ModelCheckpoint(
            tmp_path / folder / "{epoch}.keras", save_freq=3
        )

    fit(tmp_path / "a", 6, files("straight"))
    for epochs in range(1, 7):  # of two batches each
        fit(tmp_path / "b", epochs, files("resumed"))
    names = sorted(path.name for path in (tmp_path / "straight").iterdir())
    assert len(names) == 4
    assert names == sorted(p.name for p in (tmp_path / "resumed").iterdir())


def test_callbacks_with_methods_for_it_go_on(tmp_path):
    straight, first, second, other = (Counter() for _ in range(4))
    fit(tmp_path / "a", 4, straight)
    fit(tmp_path / "b", 1, first, other)
    fit(tmp_path / "b", 4, second, Counter())
    assert second.seen == 4
    np.testing.assert_array_equal(second.losses, straight.losses)


def test_two_of_a_class_are_told_apart_by_their_order(tmp_path):
    def pair():
        return stopping(), keras.callbacks.EarlyStopping("loss", patience=9)

    first, second = pair()
    fit(tmp_path, 3, first, second)
    again = pair()
    fit(tmp_path, 4, *again)
    assert (again[0].wait, again[0].best) == (2, 1.0)
    assert again[1].best < 1.0


def test_a_callback_that_is_gone_is_named(tmp_path):
    fit(tmp_path, 1, stopping(), Counter())
    with user_line.warns(r"lacks.*no \['EarlyStopping'\]"):
        fit(tmp_path, 2, Counter())


def test_a_new_callback_begins_anew(tmp_path):
    fit(tmp_path, 2)
    counter = Counter()
    fit(tmp_path, 3, counter)
    assert counter.seen == 1


def test_the_monitor_remembers_the_highest_norm(tmp_path):
    first = callbacks.DriftMonitor(DATA, num_projections=4)
    fit(tmp_path, 1, first)
    highest = first.get_state()["highest"]
    again = callbacks.DriftMonitor(DATA, num_projections=4)
    again.on_epoch_end = lambda epoch, logs=None: None
    fit(tmp_path, 2, again)
    assert tuple(again.get_state()["highest"]) == highest
