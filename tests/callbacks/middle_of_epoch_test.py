"""Checkpoints in the middle of an epoch, and runs that go on from them."""

import contextlib
import signal

import keras
import numpy as np
import pytest

import user_line
from keras_drift import DriftModel
from keras_drift import callbacks
from keras_drift import datasets
from keras_drift import generators
from keras_drift import metrics
from keras_drift.training import state_file

DATA = np.random.default_rng(0).normal(size=(96, 2)).astype("float32")
LABELS = np.arange(96) % 3
HELD_OUT = np.random.default_rng(1).normal(size=(16, 2)).astype("float32")


def compiled_model(num_classes=None, **options):
    keras.utils.set_random_seed(0)
    generator = generators.MLP(2, hidden_dims=(8,), num_classes=num_classes)
    model = DriftModel(generator, seed=0)
    optimizer = keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.9)
    options.setdefault("metrics", [metrics.SlicedWasserstein()])
    model.compile(optimizer, **options)
    return model


class StopError(Exception):
    pass


class Record(keras.callbacks.Callback):
    """Notes the batches of every epoch, and stops before one of them."""

    def __init__(self, stop=None):
        super().__init__()
        self.stop, self.batches, self.logs = stop, [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == self.stop:
            raise StopError
        self.batches.append((self.epoch, batch))

    def on_train_batch_end(self, batch, logs=None):
        assert logs

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append(logs)


def states(model):
    state = model.training_state()
    values = state["weights"] + state["optimizer"] + state["random"]
    return [np.asarray(value) for value in values]


def assert_same(model, other):
    for one, two in zip(states(model), states(other), strict=True):
        np.testing.assert_array_equal(one, two)


def grouped():
    return datasets.GroupedDataset(DATA, LABELS, positives=8, seed=3)


SOURCES = {
    "arrays": lambda: {"x": DATA, "batch_size": 16},
    "arrays with classes": lambda: {"x": DATA, "y": LABELS, "batch_size": 8},
    "other number of steps": lambda: {
        "x": DATA,
        "batch_size": 16,
        "steps_per_epoch": 8,
    },
    "other number of steps of a data set": lambda: {
        "x": datasets.ArrayDataset(DATA, batch_size=16, seed=1),
        "steps_per_epoch": 8,
    },
    "array data set": lambda: {
        "x": datasets.ArrayDataset(DATA, batch_size=16, seed=1)
    },
    "groups": lambda: {"x": grouped()},
    "workers": lambda: {
        "x": datasets.GroupedDataset(
            DATA, LABELS, positives=8, seed=3, workers=2
        )
    },
}


@pytest.mark.parametrize("source", SOURCES)
def test_a_run_stopped_in_an_epoch_ends_where_another_does(source, tmp_path):
    classes = 3 if source in ("arrays with classes", "groups", "workers") else 1
    num_classes = classes if classes > 1 else None
    runs, folder = {}, tmp_path / "run"
    for name, stop in (("at once", None), ("first", (1, 3)), ("second", None)):
        model, record = compiled_model(num_classes), Record(stop)
        options = {
            **SOURCES[source](),
            "epochs": 3,
            "validation_data": (HELD_OUT, np.arange(16) % classes)
            if num_classes
            else HELD_OUT,
            "callbacks": [record],
            "verbose": 0,
        }
        if name != "at once":
            checkpoint = callbacks.TrainingCheckpoint(folder, save_freq=2)
            options["callbacks"].append(checkpoint)
        if stop is None:
            model.fit(**options)
        else:
            with pytest.raises(StopError):
                model.fit(**options)
        runs[name] = model, record
    assert_same(runs["at once"][0], runs["second"][0])
    whole, rest = runs["at once"][1], runs["second"][1]
    assert rest.batches == [b for b in whole.batches if b >= (1, 2)]
    # The metrics of the epoch as well, and those of validation.
    assert rest.logs == whole.logs[1:]


def test_several_steps_in_one_execution(tmp_path):
    if keras.backend.backend() == "torch":
        pytest.skip("Keras has `steps_per_execution` elsewhere only")
    runs = {}
    for name, stop in (("at once", None), ("first", (0, 4)), ("second", None)):
        folder = tmp_path / ("a" if name == "at once" else "b")
        model = compiled_model(steps_per_execution=2)
        runs[name] = model
        checkpoint = callbacks.TrainingCheckpoint(folder, save_freq=2)
        options = {"batch_size": 16, "epochs": 2, "verbose": 0}
        options["callbacks"] = [Record(stop), checkpoint]
        if stop is None:
            model.fit(DATA, **options)
        else:
            with pytest.raises(StopError):
                model.fit(DATA, **options)
    assert_same(runs["at once"], runs["second"])
    other = compiled_model(steps_per_execution=3)
    (tmp_path / "b" / "epoch_000002.npz").unlink()
    with pytest.raises(ValueError, match="the same `steps_per_execution`"):
        other.fit(DATA, **{**options, "callbacks": [checkpoint]})


def train(folder, stop=None, data=None, **options):
    model = compiled_model(3)
    record = Record(stop)
    checkpoint = callbacks.TrainingCheckpoint(folder, **options)
    data = grouped() if data is None else data
    with contextlib.suppress(StopError):
        model.fit(data, epochs=3, callbacks=[record, checkpoint], verbose=0)
    return model, record, data


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_batches_are_counted_over_epochs_and_from_every_checkpoint(tmp_path):
    train(tmp_path / "a", every=3, save_freq=3, keep=9)
    assert names(tmp_path / "a") == [
        "epoch_000000_batch_000003.npz",
        "epoch_000001_batch_000002.npz",
        "epoch_000002_batch_000001.npz",
        "epoch_000003.npz",
    ]
    train(tmp_path / "b", stop=(1, 1), every=1, save_freq=3, keep=9)
    assert names(tmp_path / "b") == [
        "epoch_000000_batch_000003.npz",
        "epoch_000001.npz",
    ]
    train(tmp_path / "c", every=9, save_freq=4, keep=9)  # an epoch of 4 batches
    assert names(tmp_path / "c") == [
        "epoch_000001.npz",
        "epoch_000002.npz",
        "epoch_000003.npz",
    ]


def test_one_object_goes_on_after_an_exception(tmp_path):
    at_once, _, _ = train(tmp_path / "a")
    model, data = compiled_model(3), grouped()
    checkpoint = callbacks.TrainingCheckpoint(tmp_path / "b", save_freq=2)
    with pytest.raises(StopError):
        model.fit(
            data, epochs=3, callbacks=[Record((1, 3)), checkpoint], verbose=0
        )
    again = [Record((1, 3)), checkpoint]  # in the epoch that it resumes in
    with pytest.raises(StopError):
        model.fit(data, epochs=3, callbacks=again, verbose=0)
    assert data.first_batch == 0
    model.fit(data, epochs=3, callbacks=[checkpoint], verbose=0)
    assert_same(at_once, model)


def test_says_where_it_resumes(tmp_path, capsys):
    train(tmp_path, stop=(1, 3), save_freq=2)
    checkpoint = callbacks.TrainingCheckpoint(tmp_path)
    compiled_model(3).fit(
        grouped(), epochs=3, callbacks=[checkpoint], verbose=2
    )
    printed = capsys.readouterr().out
    assert "Resuming after epoch 1 and 2 batches" in printed


class Terminate(keras.callbacks.Callback):
    def __init__(self, batch=1):
        super().__init__()
        self.batch = batch

    def on_train_batch_begin(self, batch, logs=None):
        if batch == self.batch:
            signal.raise_signal(signal.SIGTERM)


def test_a_signal_ends_the_batch_rather_than_the_epoch(tmp_path, capsys):
    at_once, _, _ = train(tmp_path / "a")
    ended = []
    before = signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
    checkpoint = callbacks.TrainingCheckpoint(tmp_path / "b", save_freq=100)
    compiled_model(3).fit(
        grouped(), epochs=3, callbacks=[Terminate(), checkpoint], verbose=0
    )
    signal.signal(signal.SIGTERM, before)
    assert ended == [1]
    assert names(tmp_path / "b") == [
        "epoch_000000_batch_000001.npz",  # before anything may take long
        "epoch_000000_batch_000002.npz",
    ]
    assert "after epoch 0 and 2 batches" in capsys.readouterr().out
    resumed, record, _ = train(tmp_path / "b")
    assert record.batches[0] == (0, 2)
    assert_same(at_once, resumed)


def test_a_signal_in_the_last_batch_ends_the_epoch(tmp_path):
    at_once, later = grouped(), grouped()
    at_once.epoch = later.epoch = 5  # not the epochs of `fit`
    whole, _, _ = train(tmp_path / "a", data=at_once)
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    checkpoint = callbacks.TrainingCheckpoint(tmp_path / "b", save_freq=100)
    compiled_model(3).fit(
        later, epochs=3, callbacks=[Terminate(3), checkpoint], verbose=0
    )
    signal.signal(signal.SIGTERM, before)
    assert names(tmp_path / "b")[-1] == "epoch_000001.npz"
    again = grouped()
    again.epoch = 5
    resumed, record, _ = train(tmp_path / "b", data=again)
    assert record.batches[0] == (1, 0)
    assert_same(whole, resumed)


def test_an_epoch_of_one_s_own_choice_begins_with_its_first_batch(tmp_path):
    train(tmp_path / "a", stop=(1, 3), save_freq=2)
    model, record = compiled_model(3), Record()
    callbacks.TrainingCheckpoint(tmp_path / "a").restore(model)
    model.fit(
        grouped(), epochs=3, initial_epoch=2, callbacks=[record], verbose=0
    )
    assert record.batches[0] == (2, 0)


def test_batches_before_the_first_are_not_read(tmp_path):
    read = []

    class Counted(datasets.GroupedDataset):
        def _batch(self, index):
            read.append((self.epoch, index))
            return super()._batch(index)

    data = Counted(DATA, LABELS, positives=8, seed=3)
    data.epoch, data.first_batch = 1, 3
    batches = [data[index] for index in range(4)]
    assert read == [(1, 3), (1, 3)]
    np.testing.assert_array_equal(batches[0][0], batches[3][0])
    assert data.fixed().first_batch == 0


def stream():
    while True:
        yield np.zeros((8, 2), "float32"), np.arange(8) % 3


@pytest.mark.parametrize("kind", ["stream", "generator"])
def test_data_of_unknown_position_are_refused(tmp_path, kind):
    steps = None
    if kind == "stream":
        data = datasets.BankedDataset(stream(), (2,), 3, steps_per_epoch=4)
    else:
        data, steps = (grouped()[0] for _ in range(9)), 3
    model = compiled_model(3)
    before = states(model)
    checkpoint = callbacks.TrainingCheckpoint(tmp_path / "run", save_freq=2)
    with pytest.raises(ValueError, match=r"middle of an epoch.*save_freq=2"):
        model.fit(
            data, steps_per_epoch=steps, callbacks=[checkpoint], verbose=0
        )
    assert not (tmp_path / "run").exists()
    for one, two in zip(before, states(model), strict=True):
        np.testing.assert_array_equal(one, two)


def test_other_data_are_refused_in_the_middle_of_an_epoch(tmp_path):
    train(tmp_path, stop=(1, 3), save_freq=2)
    data = datasets.GroupedDataset(DATA[:24], LABELS[:24], positives=8)
    assert len(data) < 2
    checkpoint = callbacks.TrainingCheckpoint(tmp_path)
    with (
        user_line.warns("not the data of the checkpoint"),
        pytest.raises(ValueError, match=r"middle of an epoch.*2 trained"),
    ):
        compiled_model(3).fit(data, epochs=3, callbacks=[checkpoint], verbose=0)


def stopped_on_arrays(folder):
    """Two of six batches of 16 samples are trained."""
    model = compiled_model()
    checkpoint = callbacks.TrainingCheckpoint(folder, save_freq=2)
    with pytest.raises(StopError):
        model.fit(
            DATA,
            batch_size=16,
            epochs=2,
            callbacks=[Record((0, 3)), checkpoint],
            verbose=0,
        )


@pytest.mark.parametrize("change", ["batch size", "samples", "steps"])
def test_arrays_in_other_batches_are_refused(change, tmp_path):
    stopped_on_arrays(tmp_path)
    record = Record()
    wrong = {"batch_size": 24 if change == "batch size" else 16}
    if change == "steps":
        wrong["steps_per_epoch"] = 4
    model = compiled_model()
    checkpoint = callbacks.TrainingCheckpoint(tmp_path)
    options = {"epochs": 2, "callbacks": [record, checkpoint], "verbose": 0}
    samples = np.concatenate([DATA, DATA]) if change == "samples" else DATA
    with pytest.raises(ValueError, match="in the same batches"):
        model.fit(samples, **wrong, **options)
    assert record.batches == []
    # What was refused may be repeated, and still goes on where it was.
    model.fit(DATA, batch_size=16, initial_epoch=0, **options)
    assert record.batches[0] == (0, 2)


def test_a_data_set_with_fewer_steps_is_refused(tmp_path):
    train(tmp_path, stop=(1, 3), save_freq=2)
    checkpoint = callbacks.TrainingCheckpoint(tmp_path)
    with (
        user_line.warns("not the data of the checkpoint"),
        pytest.raises(ValueError, match="2 steps in an epoch"),
    ):
        compiled_model(3).fit(
            grouped(),
            steps_per_epoch=2,
            epochs=3,
            callbacks=[checkpoint],
            verbose=0,
        )


def test_warns_of_other_arrays(tmp_path):
    stopped_on_arrays(tmp_path)
    checkpoint = callbacks.TrainingCheckpoint(tmp_path)
    with user_line.warns("not the data of the checkpoint"):
        compiled_model().fit(
            DATA + 1, batch_size=16, callbacks=[checkpoint], verbose=0
        )


def test_other_metrics_are_refused(tmp_path):
    stopped_on_arrays(tmp_path)
    model = compiled_model(metrics=[])
    checkpoint = callbacks.TrainingCheckpoint(tmp_path)
    with pytest.raises(ValueError, match="`compile` the same metrics"):
        model.fit(DATA, batch_size=16, callbacks=[checkpoint], verbose=0)


def test_a_checkpoint_keeps_the_state_of_its_moment():
    class Counting(keras.utils.PyDataset):
        """A data set of a user, whose state is its own array."""

        def __init__(self):
            super().__init__()
            self.count = np.zeros(1)

        def __len__(self):
            return 2

        def __getitem__(self, index):
            self.count += 1
            return DATA[:16]

        def get_state(self):
            return {"count": self.count}

    data, model = Counting(), compiled_model()
    model.fit(data, verbose=0)
    state = model.training_state()
    before = state["data"]["count"].copy()
    data.count += 7
    np.testing.assert_array_equal(state["data"]["count"], before)


@pytest.mark.parametrize("save_freq", [0, 1.5, "batch"])
def test_a_frequency_is_a_number_of_batches(tmp_path, save_freq):
    with pytest.raises((TypeError, ValueError), match="save_freq"):
        callbacks.TrainingCheckpoint(tmp_path, save_freq=save_freq)


def test_a_position_of_other_processes_begins_the_epoch_anew(tmp_path):
    model = compiled_model()
    checkpoint = callbacks.TrainingCheckpoint(tmp_path, save_freq=2)
    with pytest.raises(StopError):
        model.fit(
            DATA,
            batch_size=16,
            epochs=2,
            verbose=0,
            callbacks=[checkpoint, Record(stop=(1, 3))],
        )
    newest = max(tmp_path.iterdir())
    assert newest.name == "epoch_000001_batch_000002.npz"
    state = state_file.read(newest)
    assert state["position"]["num_shares"] == 1
    state["position"]["num_shares"] = 2
    model, record = compiled_model(), Record()
    with user_line.warns("2 processes.*starts over"):
        model.restore_training_state(state)
    model.fit(
        DATA,
        batch_size=16,
        initial_epoch=1,
        epochs=2,
        verbose=0,
        callbacks=[record],
    )
    assert record.batches == [(1, batch) for batch in range(6)]
