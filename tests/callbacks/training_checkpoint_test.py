import contextlib
import signal
import time

import full_disk
import keras
import numpy as np
import pytest

import user_line
from contracts import numpy
from keras_drift import DriftModel
from keras_drift import callbacks
from keras_drift import datasets
from keras_drift import generators
from keras_drift import kernels
from keras_drift import schedules
from keras_drift.drifts import KernelDrift

DATA = np.random.default_rng(0).normal(size=(96, 2)).astype("float32")
LABELS = np.arange(96) % 3


def compiled_model(seed=0):
    keras.utils.set_random_seed(seed)
    generator = generators.MLP(2, hidden_dims=(8,), num_classes=3)
    schedule = schedules.ExponentialAnnealing(1.0, 0.1, rate=0.1)
    model = DriftModel(
        generator,
        KernelDrift(kernels.Gaussian(1.0)),
        bandwidth_schedule=schedule,
        seed=0,
    )
    optimizer = keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.9)
    model.compile(optimizer)
    return model


def batches():
    return datasets.GroupedDataset(DATA, LABELS, positives=8, seed=3)


def train(folder, epochs, seed=0, **options):
    model = compiled_model(seed)
    checkpoint = callbacks.TrainingCheckpoint(folder, **options)
    history = model.fit(
        batches(), epochs=epochs, callbacks=[checkpoint], verbose=0
    )
    return model, history.epoch[0]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def states(model):
    state = model.training_state()
    values = state["weights"] + state["optimizer"] + state["random"]
    return [np.asarray(value) for value in values]


def test_a_stopped_run_ends_where_another_does(tmp_path):
    at_once, _ = train(tmp_path / "a", 4)
    train(tmp_path / "b", 2)
    resumed, start = train(tmp_path / "b", 4, seed=7)  # of no influence
    assert start == 2
    for one, other in zip(states(at_once), states(resumed), strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_model_goes_on_in_one_process(tmp_path):
    """`fit` ends with averaged weights, from which training must not go on."""
    at_once, _ = train(tmp_path / "a", 4)
    model, checkpoint = compiled_model(), callbacks.TrainingCheckpoint(tmp_path)
    data = batches()
    for epochs in (2, 4):
        model.fit(data, epochs=epochs, callbacks=[checkpoint], verbose=0)
    for one, other in zip(states(at_once), states(model), strict=True):
        np.testing.assert_array_equal(one, other)


def train_with_steps(model, folder, epochs, steps, data=None):
    model.fit(
        batches() if data is None else data,
        epochs=epochs,
        steps_per_epoch=steps,
        callbacks=[callbacks.TrainingCheckpoint(folder)],
        verbose=0,
    )
    return states(model)


# An epoch of the data has four batches.
@pytest.mark.parametrize("steps", [3, 9])
@pytest.mark.parametrize("of_one_process", [False, True])
def test_epochs_of_other_lengths_go_on_in_the_data(
    tmp_path, steps, of_one_process
):
    model, data = compiled_model(), batches()
    expected = train_with_steps(compiled_model(), tmp_path / "a", 4, steps)
    train_with_steps(model, tmp_path / "b", 2, steps, data)
    if not of_one_process:
        model, data = compiled_model(seed=7), batches()
    found = train_with_steps(model, tmp_path / "b", 4, steps, data)
    assert int(numpy(model.optimizer.iterations)) == 4 * steps
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_restore_and_initial_epoch_are_what_fit_does_by_itself(tmp_path):
    at_once, _ = train(tmp_path / "a", 3)
    train(tmp_path / "b", 2)
    model = compiled_model(seed=7)
    checkpoint = callbacks.TrainingCheckpoint(tmp_path / "b")
    start = checkpoint.restore(model)
    assert start == 2
    model.fit(
        batches(),
        epochs=3,
        initial_epoch=start,
        callbacks=[checkpoint],
        verbose=0,
    )
    for one, other in zip(states(at_once), states(model), strict=True):
        np.testing.assert_array_equal(one, other)


def test_says_where_it_resumes(tmp_path, capsys):
    train(tmp_path, 1)
    assert "Resuming" not in capsys.readouterr().out
    compiled_model().fit(
        batches(),
        epochs=2,
        callbacks=[callbacks.TrainingCheckpoint(tmp_path)],
        verbose=2,
    )
    assert "Resuming after epoch 1" in capsys.readouterr().out


def test_says_that_nothing_is_left_to_train(tmp_path):
    train(tmp_path, 2)
    model = compiled_model()
    with user_line.warns("epochs=2.*after epoch 2"):
        model.fit(
            batches(),
            epochs=2,
            callbacks=[callbacks.TrainingCheckpoint(tmp_path)],
            verbose=0,
        )


class Terminate(keras.callbacks.Callback):
    """Sends SIGTERM to this process in the middle of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch, self.now = epoch, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.now == self.epoch and batch == 0:
            signal.raise_signal(signal.SIGTERM)


@pytest.fixture
def terminations():
    """The list of the calls of this process' own handler of SIGTERM."""
    calls = []
    before = signal.signal(signal.SIGTERM, lambda *_: calls.append("ended"))
    yield calls
    signal.signal(signal.SIGTERM, before)


def test_a_terminated_run_ends_its_epoch_and_goes_on_later(
    tmp_path, terminations, capsys
):
    at_once, _ = train(tmp_path / "a", 4)
    model = compiled_model()
    checkpoint = callbacks.TrainingCheckpoint(tmp_path / "b", every=9)
    history = model.fit(
        batches(), epochs=4, callbacks=[checkpoint, Terminate(1)], verbose=0
    )
    assert history.epoch == [0, 1]
    assert terminations == ["ended"]  # after `fit`, as without the callback
    assert "after epoch 2" in capsys.readouterr().out
    resumed, start = train(tmp_path / "b", 4)
    assert start == 2
    for one, other in zip(states(at_once), states(resumed), strict=True):
        np.testing.assert_array_equal(one, other)


class SlowState(dict):
    def items(self):
        time.sleep(0.3)
        return super().items()


class SlowlyWritten(datasets.GroupedDataset):
    """Data whose state takes long to write."""

    def get_state(self):
        return SlowState(super().get_state())


def slow_batches():
    return SlowlyWritten(DATA, LABELS, positives=8, seed=3)


def test_a_signal_ends_the_process_after_the_file_is_complete(tmp_path):
    complete = []
    before = signal.signal(
        signal.SIGTERM, lambda *_: complete.append(names(tmp_path))
    )
    both = [callbacks.TrainingCheckpoint(tmp_path), Terminate(0)]
    compiled_model().fit(slow_batches(), epochs=2, callbacks=both, verbose=0)
    signal.signal(signal.SIGTERM, before)
    assert complete == [["epoch_000001.npz"]]


def test_fit_ends_after_the_file_is_complete(tmp_path):
    checkpoint = callbacks.TrainingCheckpoint(tmp_path)
    model = compiled_model()
    model.fit(slow_batches(), epochs=1, callbacks=[checkpoint], verbose=0)
    assert names(tmp_path) == ["epoch_000001.npz"]


class Limit(keras.callbacks.Callback):
    """Leaves no room on the disk from an epoch on, and ends another one."""

    def __init__(self, stack, epoch, ends=None, after=None):
        super().__init__()
        self.stack, self.epoch, self.ends = stack, epoch, ends
        self.after = after

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            while self.after is not None and not self.after.exists():
                time.sleep(0.01)
            self.stack.enter_context(full_disk.no_room_for(1000))
        if epoch == self.ends:
            raise KeyboardInterrupt


@pytest.mark.parametrize("epochs", [2, 5])
def test_a_full_disk_ends_fit_and_leaves_model_and_checkpoint(tmp_path, epochs):
    """Found at the next checkpoint, or at the end of `fit`."""
    at_once, _ = train(tmp_path / "a", 4)
    model, folder = compiled_model(), tmp_path / "b"
    checkpoint = callbacks.TrainingCheckpoint(folder)
    first = folder / "epoch_000001.npz"
    with contextlib.ExitStack() as stack:
        with pytest.raises(OSError, match=r"epoch 2 could not.*File too large"):
            model.fit(
                batches(),
                epochs=epochs,
                callbacks=[checkpoint, Limit(stack, epoch=1, after=first)],
                verbose=0,
            )
        trained = int(numpy(model.optimizer.iterations))
        assert trained == {2: 8, 5: 12}[epochs]  # steps, all of them whole
    assert names(folder) == ["epoch_000001.npz"]
    resumed, start = train(folder, 4)
    assert start == 1
    for one, other in zip(states(at_once), states(resumed), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_full_disk_does_not_hide_another_exception(tmp_path):
    checkpoint = callbacks.TrainingCheckpoint(tmp_path)
    with (
        contextlib.ExitStack() as stack,
        user_line.warns("epoch 1 could not be written"),
        pytest.raises(KeyboardInterrupt),
    ):
        compiled_model().fit(
            batches(),
            epochs=2,
            callbacks=[checkpoint, Limit(stack, epoch=0, ends=1)],
            verbose=0,
        )


def test_a_full_disk_is_seen_although_a_signal_came(tmp_path, terminations):
    checkpoint = callbacks.TrainingCheckpoint(tmp_path)
    with (
        contextlib.ExitStack() as stack,
        pytest.raises(OSError, match="epoch 1 could not be written"),
    ):
        compiled_model().fit(
            batches(),
            epochs=2,
            callbacks=[checkpoint, Limit(stack, epoch=0), Terminate(0)],
            verbose=0,
        )
    assert terminations == []


def test_a_folder_that_cannot_be_written_to_is_refused_before_training(
    tmp_path,
):
    (tmp_path / "run").write_text("")
    model = compiled_model()
    before = states(model)
    with pytest.raises(OSError, match="No checkpoint can be written"):
        train_with(model, callbacks.TrainingCheckpoint(tmp_path / "run"))
    for one, other in zip(before, states(model), strict=True):
        np.testing.assert_array_equal(one, other)


def train_with(model, *added):
    model.fit(batches(), epochs=1, callbacks=list(added), verbose=0)


def test_a_second_signal_and_one_after_an_exception_act_at_once(
    tmp_path, terminations
):
    checkpoint = callbacks.TrainingCheckpoint(tmp_path)
    both = [checkpoint, Terminate(0), Terminate(0)]
    compiled_model().fit(batches(), epochs=2, callbacks=both, verbose=0)
    assert terminations == ["ended", "ended"]

    class Fail(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compiled_model().fit(
            batches(), epochs=3, callbacks=[checkpoint, Fail()], verbose=0
        )
    signal.raise_signal(signal.SIGTERM)
    assert len(terminations) == 3


class FailsAtTheEnd(keras.callbacks.Callback):
    """Fails in the last call that a callback is given."""

    def __init__(self, of_keras):
        super().__init__()
        self.of_keras = of_keras

    def on_train_end(self, logs=None):
        if self.of_keras:
            raise RuntimeError("failed")

    def on_fit_end(self):
        if not self.of_keras:
            raise RuntimeError("failed")


@pytest.mark.parametrize("of_keras", [True, False])
def test_another_callback_that_fails_at_the_end_changes_nothing(
    tmp_path, terminations, of_keras
):
    """The last file is complete, and the next signal has its usual effect."""
    checkpoint = callbacks.TrainingCheckpoint(tmp_path)
    with pytest.raises(RuntimeError, match="failed"):
        compiled_model().fit(
            slow_batches(),
            epochs=1,
            callbacks=[FailsAtTheEnd(of_keras), checkpoint],
            verbose=0,
        )
    assert names(tmp_path) == ["epoch_000001.npz"]
    signal.raise_signal(signal.SIGTERM)
    assert terminations == ["ended"]


def test_the_last_epoch_is_saved_whatever_the_interval(tmp_path):
    train(tmp_path, 5, every=2, keep=9)
    assert names(tmp_path) == [f"epoch_00000{e}.npz" for e in (2, 4, 5)]


def test_the_last_epoch_is_saved_if_a_later_callback_stops(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    checkpoint = callbacks.TrainingCheckpoint(tmp_path, every=9)
    compiled_model().fit(
        batches(), epochs=5, callbacks=[checkpoint, Stop()], verbose=0
    )
    assert names(tmp_path) == ["epoch_000002.npz"]


def test_one_object_does_not_replace_what_it_saved(tmp_path):
    train(tmp_path, 1)
    model, checkpoint = compiled_model(), callbacks.TrainingCheckpoint(tmp_path)
    start = checkpoint.restore(model)
    options = {"initial_epoch": start, "callbacks": [checkpoint], "verbose": 0}
    model.fit(batches(), epochs=3, **options)
    with pytest.raises(ValueError, match="run that is further"):
        model.fit(batches(), epochs=2, **options)


def test_only_the_newest_files_are_kept(tmp_path):
    train(tmp_path, 5)
    assert names(tmp_path) == ["epoch_000004.npz", "epoch_000005.npz"]


def test_files_hold_the_weights_of_training_rather_than_averages(tmp_path):
    model, _ = train(tmp_path, 2)
    again = compiled_model()
    callbacks.TrainingCheckpoint(tmp_path).restore(again)
    kernel = again.generator.trainable_variables[0]
    average = again.optimizer._model_variables_moving_average[0]
    averaged = numpy(model.generator.trainable_variables[0])
    np.testing.assert_array_equal(numpy(average), averaged)
    assert np.abs(numpy(kernel) - averaged).max() > 1e-4


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped"])
def test_a_damaged_file_gives_way_to_the_one_before(tmp_path, damage):
    train(tmp_path, 3)
    newest = tmp_path / "epoch_000003.npz"
    whole = bytearray(newest.read_bytes())
    middle = len(whole) // 2
    flipped = (
        whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
    )
    damaged = {"truncated": whole[:middle], "empty": b"", "flipped": flipped}
    newest.write_bytes(damaged[damage])
    model = compiled_model()
    with user_line.warns("epoch_000003"):
        start = callbacks.TrainingCheckpoint(tmp_path).restore(model)
    assert start == 2


def test_without_any_readable_file_nothing_is_overwritten(tmp_path):
    (tmp_path / "epoch_000001.npz").write_bytes(b"text")
    checkpoint = callbacks.TrainingCheckpoint(tmp_path)
    with (
        user_line.warns("damaged"),
        pytest.raises(ValueError, match="None of the checkpoints"),
    ):
        checkpoint.restore(compiled_model())


def test_an_exception_leaves_the_last_epoch(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    checkpoint = callbacks.TrainingCheckpoint(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        compiled_model().fit(
            batches(), epochs=9, callbacks=[checkpoint, Stop()], verbose=0
        )
    assert names(tmp_path)[-1] == "epoch_000002.npz"


def test_files_after_the_restored_epoch_are_of_another_run(tmp_path):
    train(tmp_path, 4, keep=9)
    (tmp_path / "epoch_000004.npz").write_bytes(b"")
    (tmp_path / "epoch_000003.npz").write_bytes(b"")
    with user_line.warns("An older one"):
        train(tmp_path, 3, keep=9)
    assert names(tmp_path)[-1] == "epoch_000003.npz"


def test_a_run_that_was_not_restored_deletes_nothing(tmp_path):
    train(tmp_path, 3)
    before = names(tmp_path)
    checkpoint = callbacks.TrainingCheckpoint(tmp_path)
    with pytest.raises(ValueError, match="Leave `initial_epoch` out"):
        compiled_model().fit(
            batches(),
            epochs=2,
            initial_epoch=0,
            callbacks=[checkpoint],
            verbose=0,
        )
    assert names(tmp_path) == before


def test_another_model_is_refused(tmp_path):
    train(tmp_path, 1)
    model = DriftModel(generators.MLP(2, hidden_dims=(4,)), seed=0)
    model.compile("adam")
    with pytest.raises(ValueError, match="another model"):
        callbacks.TrainingCheckpoint(tmp_path).restore(model)


def test_a_model_that_was_not_compiled_is_refused(tmp_path):
    model = DriftModel(generators.MLP(2, hidden_dims=(4,)), seed=0)
    with pytest.raises(ValueError, match="`compile` the model"):
        callbacks.TrainingCheckpoint(tmp_path).restore(model)


def test_other_models_are_refused(tmp_path):
    with pytest.raises(TypeError, match="DriftModel"):
        callbacks.TrainingCheckpoint(tmp_path).restore(keras.Model())
