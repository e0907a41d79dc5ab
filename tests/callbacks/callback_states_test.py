import os
import re
import signal
import warnings

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


def fit(folder, epochs, *others, seed=0, verbose=0, **options):
    """A model and the epochs that it was trained for in this `fit`."""
    keras.utils.set_random_seed(seed)
    model = DriftModel(generators.MLP(2, hidden_dims=(8,)), seed=0)
    model.compile(keras.optimizers.Adam(1e-2, **options))
    history = model.fit(
        DATA,
        batch_size=16,
        epochs=epochs,
        callbacks=[
            callbacks.TrainingCheckpoint(folder),
            Scores(),
            *others,
        ],
        verbose=verbose,
    )
    return model, history.epoch


def stopping(patience=3, **options):
    return keras.callbacks.EarlyStopping(
        "score", mode="min", patience=patience, **options
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


def assert_same_variables(one, two):
    pairs = zip(
        one.variables + one.optimizer.variables,
        two.variables + two.optimizer.variables,
        strict=True,
    )
    for left, right in pairs:
        np.testing.assert_array_equal(numpy(left), numpy(right))


@pytest.mark.parametrize("best", [True, False])
@pytest.mark.parametrize("averaged", [True, False])
def test_a_run_that_stopped_early_stays_ended(tmp_path, best, averaged, capsys):
    options = {"use_ema": averaged, "ema_momentum": 0.5}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*SwapEMAWeights")
        first, epochs = fit(
            tmp_path, 9, stopping(restore_best_weights=best), **options
        )
        assert epochs == [0, 1, 2, 3, 4]
        for _ in range(2):
            again, rest = fit(
                tmp_path,
                20,
                stopping(restore_best_weights=best),
                seed=7,
                verbose=2,
                **options,
            )
            assert rest == []
            assert_same_variables(again, first)
    printed = capsys.readouterr().out
    assert re.search("after epoch 5 .*`EarlyStopping` has ended", printed)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["epoch_000004.npz", "epoch_000005.npz"]


def test_more_patience_goes_on_with_a_run_that_stopped_early(tmp_path, capsys):
    straight, _ = fit(tmp_path / "a", 9, stopping(patience=5))
    fit(tmp_path / "b", 9, stopping())
    again, rest = fit(tmp_path / "b", 9, stopping(patience=5), verbose=2)
    assert rest == [5, 6]
    assert_same_variables(again, straight)
    assert "has ended" not in capsys.readouterr().out
    _, rest = fit(tmp_path / "b", 9, stopping(patience=5))
    assert rest == []
    with pytest.warns(UserWarning, match="EarlyStopping"):
        _, rest = fit(tmp_path / "b", 9)
    assert rest == [7, 8]


class OutOfTime(keras.callbacks.Callback):
    """Ends every `fit` after one epoch, to go on later."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True


def test_what_another_callback_has_ended_goes_on(tmp_path):
    for epoch in range(2):
        _, epochs = fit(tmp_path, 9, OutOfTime(), stopping())
        assert epochs == [epoch]
    _, epochs = fit(tmp_path, 5, stopping())
    assert epochs == [2, 3, 4]


@pytest.mark.parametrize(
    "seen",
    [{1: 0.5}, {"of": {2, 3}}, [np.array(["a"])], keras.ops.ones(2), object()],
    ids=["key", "set", "text array", "tensor", "object"],
)
def test_a_state_that_would_come_back_as_another_is_refused(tmp_path, seen):
    class Other(Counter):
        def get_state(self):
            return {"seen": seen}

    with pytest.raises(TypeError, match="in the state of `Other`"):
        fit(tmp_path, 2, Other())
    assert not list(tmp_path.iterdir())


def test_a_state_of_data_is_checked_as_well(tmp_path):
    class Data(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return DATA[:16]

        def get_state(self):
            return {"read": {0}}

        def set_state(self, state):
            pass

    model = DriftModel(generators.MLP(2, hidden_dims=(8,)), seed=0)
    model.compile("sgd")
    checkpoint = callbacks.TrainingCheckpoint(tmp_path)
    with pytest.raises(TypeError, match="state of the data set `Data`"):
        model.fit(Data(), callbacks=[checkpoint], verbose=0)


class Own(keras.callbacks.EarlyStopping):
    """One whose state only it can read."""

    def get_state(self):
        return [self.wait]

    def set_state(self, state):
        (self.wait,) = state


@pytest.mark.parametrize("cls", [keras.callbacks.EarlyStopping, Own])
def test_without_patience_only_a_worse_epoch_ends_the_run(tmp_path, cls):
    def impatient():
        return cls("score", mode="min", patience=0)

    _, epochs = fit(tmp_path, 9, OutOfTime(), impatient())
    assert epochs == [0]
    _, epochs = fit(tmp_path, 9, impatient())
    assert epochs == [1, 2]


def test_a_signal_in_its_last_epoch_does_not_continue_a_stopped_run(tmp_path):
    class Signal(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == last:
                os.kill(os.getpid(), signal.SIGTERM)

    _, straight = fit(tmp_path / "a", 9, stopping())
    last = straight[-1]
    received = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        fit(tmp_path / "b", 9, stopping(), Signal())
    finally:
        signal.signal(signal.SIGTERM, received)
    _, rest = fit(tmp_path / "b", 9, stopping())
    assert rest == []


def test_less_patience_does_not_end_what_was_not_ended(tmp_path):
    fit(tmp_path, 4, stopping())
    _, epochs = fit(tmp_path, 9, stopping(patience=1))
    assert epochs == [4]


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
